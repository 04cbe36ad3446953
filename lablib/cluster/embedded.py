"""A real Kubernetes control plane as processes on loopback. Does I/O; starts processes.

    with EmbeddedCluster(pools=[NodePool("H100", nodes=4)]) as cluster:
        print(cluster.client().nodes())

Such a cluster is session-scoped: it ends with this Python, however that ends, and leaves nothing. A kept one
(`keep=True`, what `lablib cluster up` makes) stays until `down`. `up` attaches to a cluster of that name that
runs, and mends one that half died. record.py has what is on disk, components.py the command lines, launch.py
starts them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import psutil
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from lablib.cluster import binaries
from lablib.cluster.components import Plan, components
from lablib.cluster.convert import node_manifest
from lablib.cluster.health import examine
from lablib.cluster.launch import (
    FIRST,
    START_SECONDS,
    Launch,
    PortTaken,
    Report,
    prepare,
    start_supervisor,
    write_components,
)
from lablib.cluster.pools import NodePool, pool_nodes
from lablib.cluster.record import Process, Record, free_ports, read_record, sweep, write_record
from lablib.cluster.status import Status
from lablib.cluster.supervisor import read_processes
from lablib.errors import ClusterError, Conflict, NotFound, SetupError
from lablib.gpu.device import Node
from lablib.locks import exclusive, make_folder
from lablib.settings import REPOSITORY, Settings
from lablib.units import MIB

if TYPE_CHECKING:
    from lablib.cluster.kubernetes import KubernetesCluster

STAGES: Final = REPOSITORY / "clusters" / "embedded" / "stages.yaml"
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
DEFAULT_POOLS: Final = (NodePool("A100-80", nodes=4), NodePool("T4", nodes=2, gpus=4))
ACCOUNT: Final = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
"""Without it no pod can be created."""
FREE_MIB: Final = 300
"""Free disk below which a cluster is not started."""
STOP_SECONDS: Final = 20.0
ATTEMPTS: Final = 3
"""How often a start is tried when somebody else takes its ports."""

_lifelines: dict[Path, subprocess.Popen[bytes]] = {}
"""The supervisors of this process's own clusters: their pipes stay open as long as this process lives,
whatever happens to the EmbeddedCluster objects."""


class EmbeddedCluster:
    """An embedded cluster by its name.

    Args:
        name: lower-case letters, digits and hyphens.
        pools: its nodes, () for none; None takes those it was started with, or DEFAULT_POOLS.
        run_pods: run pods annotated lab/run as local processes (see kubelet.py).
        feature_gates: of the API server and the scheduler, such as "GenericWorkload=true".
        keep: it stays when this process ends.

    Raises:
        ClusterError: that is no name.
    """

    def __init__(
        self,
        name: str = "lab",
        pools: Iterable[NodePool] | None = None,
        *,
        run_pods: bool = False,
        feature_gates: str = "",
        keep: bool = False,
    ) -> None:
        if not NAME.fullmatch(name):
            raise ClusterError(
                f"{name!r} is no name of a cluster",
                remedy="Use up to 32 lower-case letters, digits and hyphens",
            )
        self.name = name
        self._pools = None if pools is None else tuple(pools)
        self._run_pods, self._feature_gates, self._keep = run_pods, feature_gates, keep
        self._clusters = Settings().state_dir / "clusters"
        self._started_here = False

    @property
    def folder(self) -> Path:
        """Its state folder."""
        return self._clusters / self.name

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig; there while the cluster is."""
        return self.folder / "kubeconfig"

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started_here and not self._keep:
            self.down()

    def client(self) -> KubernetesCluster:
        """A connection as admin; the caller closes it.

        Raises:
            NotFound: the cluster is not up.
        """
        from lablib.cluster.kubernetes import KubernetesCluster  # takes 0.8 s

        if not self.kubeconfig.exists():
            raise NotFound(
                f"Cluster {self.name} is not up",
                where=str(self.folder),
                remedy=f"Start it: lablib cluster up --name {self.name}",
            )
        return KubernetesCluster(self.kubeconfig)

    def up(self, report: Report = lambda _: None) -> Self:
        """Start it, or attach to it and mend what is ill.

        Raises:
            ClusterError: it runs with other settings, or a component can't start; with the end of its log.
            SetupError: a binary or disk space is missing, or the folder can't be written.
        """
        make_folder(self._clusters, "LAB_STATE_DIR")
        with self._locked(report):
            record = read_record(self.folder)
            if record is not None and not _owned(record):
                self._remove(record)  # its owner has gone: what is left of it is going too
                record = None
            self._check_same(record)
            if record is not None and record.supervisor.alive():
                self._mend(record, report)
            else:
                self._start(record, report)
        return self

    def down(self, report: Report = lambda _: None) -> bool:
        """End it and remove its folder; False when there was nothing to remove."""
        if not self.folder.exists():
            return False
        with self._locked(report):
            try:
                record = read_record(self.folder)
            except ClusterError:
                record = None
            report(f"cluster {self.name} stops")
            self._remove(record)
        return True

    def status(self) -> Status:
        """How each component is, and how many nodes are Ready."""
        record = read_record(self.folder)
        if record is None:
            return Status(self.name)
        plan = self._plan(record.ports, record)
        table = read_processes(self.folder)
        healths = tuple(examine(plan, each.name, table.get(each.name)) for each in components(plan))
        if not all(health.well for health in healths if health.name in FIRST):
            return Status(self.name, healths)
        try:
            with self.client() as client:
                nodes = client.nodes()
        except ClusterError:
            return Status(self.name, healths)
        return Status(self.name, healths, sum(node.ready for node in nodes), len(nodes))

    # Inside

    def _locked(self, report: Report) -> AbstractContextManager[None]:
        return exclusive(
            self._clusters / f"{self.name}.lock",
            lambda holder: report(f"process {holder} is busy with cluster {self.name}: waiting"),
        )

    def _check_same(self, record: Record | None) -> None:
        if record is None or self._pools is None:
            return  # whoever names no pools takes the cluster as it is
        if (record.pools, record.run_pods, record.feature_gates) != (
            self._pools,
            self._run_pods,
            self._feature_gates,
        ):
            raise Conflict(
                f"Cluster {self.name} exists with other settings: {_settings(record)}",
                where=str(self.folder),
                remedy=f"Take another name, or end that one: lablib cluster down --name {self.name}",
            )

    def _plan(self, ports: Mapping[str, int], record: Record | None) -> Plan:
        folder = binaries.find().folder
        if record is None:
            return Plan(self.folder, ports, folder, STAGES, self._run_pods, self._feature_gates)
        return Plan(self.folder, ports, folder, STAGES, record.run_pods, record.feature_gates)

    def _mend(self, record: Record, report: Report) -> None:
        launch = Launch(self._plan(record.ports, record), record.supervisor, report)
        launch.mend()
        self._complete(launch, record.pools, report)

    def _start(self, record: Record | None, report: Report) -> None:
        """From nothing, or from the data of a kept cluster whose processes have gone."""
        for attempt in range(ATTEMPTS):
            try:
                self._start_once(record, report)
            except BaseException as error:
                self._remove(None, data=record is None)
                if not isinstance(error, PortTaken) or attempt + 1 == ATTEMPTS:
                    raise
            else:
                self._started_here = True
                return

    def _start_once(self, record: Record | None, report: Report) -> None:
        threading.Thread(target=import_module, args=("lablib.cluster.kubernetes",), daemon=True).start()
        _let_go(self.folder)
        sweep(self.folder)
        plan = self._plan(free_ports(record.ports if record else {}), record)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        _check_disk(self.folder)
        prepare(plan)
        write_components(plan, FIRST)
        pools = record.pools if record else DEFAULT_POOLS if self._pools is None else self._pools
        supervisor = start_supervisor(plan, lifeline=not self._keep)
        _lifelines[self.folder] = supervisor
        process = Process.of(supervisor.pid)
        owner = None if self._keep else Process.of(os.getpid())
        written = Record(plan.ports, pools, plan.run_pods, plan.feature_gates, process, owner)
        write_record(self.folder, written)
        self._complete(Launch(plan, process, report), pools, report)

    def _complete(self, launch: Launch, pools: tuple[NodePool, ...], report: Report) -> None:
        """Wait for the components, create the nodes that are not there, wait until pods can be made."""
        launch.await_api()
        wanted = {node.name: node for node in pool_nodes(pools)}
        with self.client() as client:
            missing = wanted.keys() - {node.name for node in client.nodes()}
            if missing:
                report(f"{len(missing)} nodes join")
            for name in sorted(missing):
                with suppress(Conflict):
                    client.create(node_manifest(wanted[name]))
            launch.await_others()
            for attempt in _patiently():
                with attempt:
                    usable = {node.name for node in client.nodes() if _usable(node)}
                    if not usable >= wanted.keys():
                        raise NotFound(f"{len(wanted.keys() - usable)} of {len(wanted)} nodes are not Ready")
                    client.read(
                        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
                    )

    def _remove(self, record: Record | None, *, data: bool = True) -> None:
        """Stop everything, gently where there is a supervisor, and remove the folder."""
        lifeline = _lifelines.get(self.folder)
        process = Process.of(lifeline.pid) if lifeline and lifeline.poll() is None else None
        process = process or (record.supervisor if record else None)
        if process and process.alive():
            with suppress(psutil.Error):
                handle = psutil.Process(process.pid)
                handle.send_signal(signal.SIGTERM)
                psutil.wait_procs([handle], timeout=STOP_SECONDS)
        _let_go(self.folder)
        sweep(self.folder)
        if data:
            shutil.rmtree(self.folder, ignore_errors=True)


def _let_go(folder: Path) -> None:
    """Close the pipe to a supervisor of ours that has ended, or is to end now."""
    lifeline = _lifelines.pop(folder, None)
    if lifeline is None:
        return
    if lifeline.stdin:
        lifeline.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        lifeline.wait(1)


def _owned(record: Record) -> bool:
    """False when the process that the cluster belongs to has ended."""
    return record.owner is None or record.owner.alive()


def _usable(node: Node) -> bool:
    """Ready, and the controller manager has seen it: a new node is tainted until then."""
    return node.ready and not any(taint.key == "node.kubernetes.io/not-ready" for taint in node.taints)


def _patiently() -> Retrying:
    """Try until nothing is NotFound any more."""
    return Retrying(
        retry=retry_if_exception_type(NotFound),
        stop=stop_after_delay(START_SECONDS),
        wait=wait_fixed(0.05),
        reraise=True,
    )


def _settings(record: Record) -> str:
    """A cluster's settings in words."""
    pools = ", ".join(f"{pool.nodes} x {pool.model or 'no GPU'}" for pool in record.pools) or "no nodes"
    run_pods = "pods run" if record.run_pods else "pods don't run"
    return f"{pools}; {run_pods}; feature gates: {record.feature_gates or 'none'}"


def _check_disk(folder: Path) -> None:
    free_mib = shutil.disk_usage(folder).free / MIB
    if free_mib < FREE_MIB:
        raise SetupError(
            f"The disk has {free_mib:.0f} MiB free; a cluster needs {FREE_MIB}",
            where=str(folder),
            remedy="Free some, or name a folder on another disk: LAB_STATE_DIR",
        )
