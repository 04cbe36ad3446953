"""A cluster that is there already, by its kubeconfig. Does I/O.

It has the methods of EmbeddedCluster, so that a lab runs on either. It is never started or stopped: `down`
removes the objects that carry the label lab/managed=true, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lablib.cluster.health import Health
from lablib.cluster.kubernetes import KubernetesCluster
from lablib.cluster.status import Status
from lablib.errors import ClusterError


class ExistingCluster:
    """The cluster that a kubeconfig names.

    Args:
        kubeconfig: the file.
        context: one in it; its current one if None.
    """

    def __init__(self, kubeconfig: Path, context: str | None = None) -> None:
        self.kubeconfig = kubeconfig.expanduser()
        self._context = context
        self.name = context or self.kubeconfig.stem

    def client(self) -> KubernetesCluster:
        """A connection; the caller closes it."""
        return KubernetesCluster(self.kubeconfig, self._context)

    def up(self, report: Callable[[str], None] = lambda _: None) -> ExistingCluster:
        """Only look whether it answers.

        Raises:
            ClusterError: it doesn't.
        """
        with self.client() as client:
            report(f"the cluster at {client.host} has {len(client.nodes())} nodes")
        return self

    def down(self, report: Callable[[str], None] = lambda _: None) -> bool:
        """Remove what the labs made; False when there was nothing."""
        with self.client() as client:
            removed = client.remove_managed()
        report(f"{removed} objects of the labs removed")
        return removed > 0

    def status(self) -> Status:
        """Whether its API server answers, and how many nodes are Ready."""
        with self.client() as client:
            try:
                nodes = client.nodes()
            except ClusterError as error:
                return Status(self.name, (Health("kube-apiserver", "unhealthy", detail=str(error)),))
        return Status(
            self.name, (Health("kube-apiserver", "running"),), sum(node.ready for node in nodes), len(nodes)
        )
