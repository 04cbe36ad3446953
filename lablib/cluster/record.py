"""What is on disk of an embedded cluster, and which processes are its own. Does I/O.

A cluster's state folder is settings.state_dir/clusters/NAME; its lock lies beside it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from pydantic import TypeAdapter, ValidationError

from lablib.cluster.components import MARK, PORTS
from lablib.cluster.pools import NodePool
from lablib.cluster.supervisor import write_json
from lablib.errors import ClusterError

FILE: Final = "cluster.json"


@dataclass(frozen=True)
class Process:
    """A process that can't be mistaken for a later one of the same number."""

    pid: int
    created: float
    """Unix time, as psutil tells it."""

    def alive(self) -> bool:
        """True while it runs."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        return False

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this number now."""
        return cls(pid, psutil.Process(pid).create_time())


@dataclass(frozen=True)
class Record:
    """How a cluster was started."""

    ports: Mapping[str, int]
    pools: tuple[NodePool, ...]
    run_pods: bool
    feature_gates: str
    supervisor: Process
    owner: Process | None
    """Whose end is the cluster's end; None for one that stays."""


RECORD: Final = TypeAdapter(Record)


def read_record(folder: Path) -> Record | None:
    """The cluster's record; None when there is no such cluster.

    Raises:
        ClusterError: the file is damaged.
    """
    try:
        return RECORD.validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ClusterError(
            f"The record of cluster {folder.name} is damaged: {error.errors()[0]['msg']}",
            where=str(folder / FILE),
            remedy=f"Remove the cluster: lablib cluster down --name {folder.name}",
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Write the record in one step."""
    write_json(folder / FILE, RECORD.dump_python(record, mode="json"))


def free_ports(preferred: Mapping[str, int]) -> dict[str, int]:
    """A free loopback port for each of PORTS: the preferred one where it is free."""
    with ExitStack() as stack:
        return {name: _free_port(stack, preferred.get(name, 0)) for name in PORTS}


def _free_port(stack: ExitStack, preferred: int) -> int:
    listener = stack.enter_context(socket.socket())
    # A port in TIME_WAIT is free for a server, since servers set this too.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", preferred))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.listen()  # two listeners can't share it, so that no port is given out twice
    port: int = listener.getsockname()[1]
    return port


def processes(folder: Path) -> Iterator[psutil.Process]:
    """Every process of this user that carries the cluster's mark: components, pods, the supervisor."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(folder):
                yield process


def sweep(folder: Path) -> int:
    """Kill whatever still runs of a cluster; how many there were."""
    found = list(processes(folder))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=5)
    return len(found)
