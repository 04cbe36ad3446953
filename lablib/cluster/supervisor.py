"""One process that keeps a cluster's components, and ends them. Starts processes.

    python -m lablib.cluster.supervisor STATE_FOLDER [--lifeline]

It reads STATE_FOLDER/components.json, starts every component and writes processes.json: for each its process
number and how it ended. It never starts again what died; SIGHUP tells it to, after reading components.json
anew. SIGTERM stops all in the reverse order, then the supervisor itself. With --lifeline its standard input
is a pipe from the owner: when the owner dies, however it dies, the pipe closes, everything is stopped and the
state folder is removed.

Whatever a component leaves behind becomes a child of the supervisor (a child subreaper) and is killed. If the
supervisor is killed, the kernel kills the components. Only the standard library is used: it starts in 50 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

COMPONENTS: Final = "components.json"
PROCESSES: Final = "processes.json"
STOP_SECONDS: Final = 8.0
"""How long a component may take to stop before it is killed."""
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True)
class Component:
    """A program to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: str
    """File that its stdout and stderr are appended to."""


@dataclass(frozen=True)
class Running:
    """A component's latest process."""

    pid: int
    started: float
    """Unix time."""
    exit_code: int | None = None
    """None while it runs; negative for a signal, as subprocess has it."""


def write_json(path: Path, value: object) -> None:
    """Write a file in one step: a reader sees the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(path)


def read_components(folder: Path) -> tuple[Component, ...]:
    """What the state folder says should run, in starting order."""
    return tuple(Component(**entry) for entry in json.loads((folder / COMPONENTS).read_text()))


def read_processes(folder: Path) -> dict[str, Running]:
    """What the supervisor last said about each component; empty when it never ran."""
    try:
        table: dict[str, dict[str, Any]] = json.loads((folder / PROCESSES).read_text())
    except FileNotFoundError:
        return {}
    return {name: Running(**entry) for name, entry in table.items()}


def die_with_parent() -> None:
    """Runs in the child: the kernel kills it when the supervisor's only thread ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """The components of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._running: dict[str, Running] = {}

    def start_missing(self) -> None:
        """Start every component that is not running, and stop those no longer wanted."""
        wanted = read_components(self._folder)
        for name in [name for name in self._children if name not in {each.name for each in wanted}]:
            self._stop([name])
            del self._children[name], self._running[name]
        for component in wanted:
            child = self._children.get(component.name)
            if child is None or child.poll() is not None:
                self._start(component)
        self._record()

    def _start(self, component: Component) -> None:
        with Path(component.log).open("ab") as log:
            try:
                child = subprocess.Popen(
                    component.argv,
                    env=dict(component.env),
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has one thread
                )
            except OSError as error:
                log.write(f"{component.argv[0]} can't be started: {error}\n".encode())
                self._running[component.name] = Running(0, time.time(), error.errno)
                return
        self._children[component.name] = child
        self._running[component.name] = Running(child.pid, time.time())

    def reap(self) -> None:
        """Note what has ended, and kill what it left behind."""
        for name, child in self._children.items():
            code = child.poll()
            if code is not None and self._running[name].exit_code is None:
                self._running[name] = Running(child.pid, self._running[name].started, code)
        self._end_strays()
        self._record()

    def _end_strays(self) -> None:
        """Kill and reap children that are no components: orphans that came to the subreaper."""
        ours = {child.pid for child in self._children.values()}
        for pid in children_of(os.getpid()) - ours:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            except (ProcessLookupError, ChildProcessError):
                continue

    def stop(self) -> None:
        """Stop all, last started first: the API server ignores SIGTERM for a minute once etcd is gone."""
        self._stop(list(reversed(self._children)))
        while strays := children_of(os.getpid()) - {child.pid for child in self._children.values()}:
            self._end_strays()
            time.sleep(0.01 * bool(strays))
        self._record()

    def _stop(self, names: Sequence[str]) -> None:
        """SIGTERM in this order; etcd, the first started, only when the others have gone."""
        deadline = time.monotonic() + STOP_SECONDS
        first = next(iter(self._children), None)
        for group in ([name for name in names if name != first], [name for name in names if name == first]):
            for name in group:
                if self._children[name].poll() is None:
                    self._children[name].terminate()
            for name in group:
                try:
                    code = self._children[name].wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    self._children[name].kill()
                    code = self._children[name].wait()
                self._running[name] = Running(self._running[name].pid, self._running[name].started, code)

    def _record(self) -> None:
        table = {name: asdict(running) for name, running in self._running.items()}
        with contextlib.suppress(OSError):  # a full disk: what runs goes on, and status says what it can
            write_json(self._folder / PROCESSES, table)


def children_of(pid: int) -> set[int]:
    """Process numbers of the direct children of a process of one thread."""
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def serve(folder: Path, *, lifeline: bool) -> None:
    """Run until SIGTERM, or until the lifeline closes."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    supervisor = Supervisor(folder)
    supervisor.start_missing()
    while True:
        ready, _, _ = select.select([wake_read, *([sys.stdin] if lifeline else [])], [], [])
        signals = set(os.read(wake_read, 512)) if wake_read in ready else set()
        owner_gone = sys.stdin in ready and not os.read(sys.stdin.fileno(), 512)
        if owner_gone or signal.SIGTERM in signals:
            break
        supervisor.reap()
        if signal.SIGHUP in signals:
            supervisor.start_missing()
    supervisor.stop()
    if lifeline:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lifeline", action="store_true")
    arguments = parser.parse_args()
    serve(arguments.folder, lifeline=arguments.lifeline)


if __name__ == "__main__":
    main()
