"""A cluster in containers, made by kind. Does I/O; starts containers.

It has the methods of EmbeddedCluster. clusters/kind has a config and a script for each kind of GPU: NVIDIA's
mock driver, or the machine's own GPUs. Nothing here has run on a machine with a container engine yet;
docs/cloud.md says what has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lablib.cluster.existing import ExistingCluster
from lablib.cluster.kubernetes import KubernetesCluster
from lablib.cluster.status import Status
from lablib.errors import SetupError
from lablib.locks import make_folder
from lablib.process import run
from lablib.settings import REPOSITORY, Settings

CONFIGS: Final = REPOSITORY / "clusters" / "kind"
TOOLS: Final = {
    "kind": "Install kind 0.33 or newer: its project's page says how",
    "kubectl": "Install kubectl",
    "helm": "Install Helm 3",
    "git": "Install git",
}
ENGINES: Final = ("docker", "podman", "nerdctl")
WAIT: Final = "5m"


class KindCluster:
    """A kind cluster by its name.

    Args:
        name: of the cluster.
        gpus: use this machine's GPUs; else NVIDIA's mock driver.
    """

    def __init__(self, name: str = "lab", *, gpus: bool = False) -> None:
        self.name, self._kind = name, "gpu" if gpus else "mock"

    @property
    def kubeconfig(self) -> Path:
        """Its own kubeconfig; yours is not touched."""
        return Settings().state_dir / "kind" / f"{self.name}.kubeconfig"

    def up(self, report: Callable[[str], None] = lambda _: None) -> KindCluster:
        """Create it where there is none, and install what its GPUs need. Takes minutes.

        Raises:
            SetupError: a tool is missing, or one of them fails; with its last lines.
        """
        check_tools()
        make_folder(self.kubeconfig.parent, "LAB_STATE_DIR")
        if self.name not in run(["kind", "get", "clusters"]).split():
            report("kind creates the cluster, usually 1 min and a download of 1 GB the first time")
            config = CONFIGS / f"{self._kind}.yaml"
            options = ["--name", self.name, "--config", str(config), "--wait", WAIT]
            run(["kind", "create", "cluster", *options, "--kubeconfig", str(self.kubeconfig)], on_line=report)
        report("drivers and device plugin are installed, usually 2 min")
        env = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        run(["bash", CONFIGS / f"{self._kind}.sh"], env=env, on_line=report)
        return self

    def down(self, report: Callable[[str], None] = lambda _: None) -> bool:
        """Delete it; False when there was none."""
        check_tools("kind")
        there = self.name in run(["kind", "get", "clusters"]).split()
        if there:
            report("kind deletes the cluster")
            run(["kind", "delete", "cluster", "--name", self.name])
        self.kubeconfig.unlink(missing_ok=True)
        return there

    def client(self) -> KubernetesCluster:
        """A connection as admin; the caller closes it."""
        return KubernetesCluster(self.kubeconfig)

    def status(self) -> Status:
        """Whether its API server answers, and how many nodes are Ready."""
        return ExistingCluster(self.kubeconfig).status()


def check_tools(*names: str) -> None:
    """Look for the programs that this needs: all, or those named.

    Raises:
        SetupError: one is missing; with how to get it.
    """
    for name in names or TOOLS:
        if shutil.which(name) is None:
            raise SetupError(f"{name} is not installed", remedy=TOOLS[name])
    if not names and not any(map(shutil.which, ENGINES)):
        raise SetupError("There is no container engine", remedy=f"Install one of {', '.join(ENGINES)}")
