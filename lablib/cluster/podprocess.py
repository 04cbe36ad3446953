"""The processes of one pod, and their logs. Does I/O; starts and kills processes.

Every container's process leads a session of its own and is killed by the kernel when the kubelet dies. All
that a pod starts carries its uid in the environment: what outlives the container's process is found by that.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from lablib.cluster.components import MARK
from lablib.cluster.podspec import Container, PodSpec
from lablib.cluster.supervisor import PR_SET_PDEATHSIG, children_of

UID: Final = "LAB_POD_UID"
LOG_BYTES: Final = 10 * 1024 * 1024
"""A container's log ends there, and says so."""
READ_BYTES: Final = 65536
"""Read in one turn: a pipe holds as much. A pod that never stops printing leaves the others their turn."""
LINE_BYTES: Final = 16384
"""A longer line is cut into parts, as container runtimes do."""


def die_with_kubelet() -> None:
    """Runs in the child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Log:
    """A log file in the format of container runtimes: time, stream, F or P, text."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Append what a process has printed; an unfinished line waits for its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(self._rest) > LINE_BYTES:
            self._entry(b"P", self._rest[:LINE_BYTES])
            self._rest = self._rest[LINE_BYTES:]
        self._file.flush()

    def close(self) -> None:
        """Write an unfinished line, and close."""
        if self._rest:
            self._line(self._rest)
        self._file.close()

    def _line(self, line: bytes) -> None:
        while len(line) > LINE_BYTES:
            self._entry(b"P", line[:LINE_BYTES])
            line = line[LINE_BYTES:]
        self._entry(b"F", line)

    def _entry(self, tag: bytes, text: bytes) -> None:
        if self._file.tell() > LOG_BYTES:
            return
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
        self._file.write(b"%s stdout %s %s\n" % (stamp, tag, text))
        if self._file.tell() > LOG_BYTES:
            self._file.write(b"%s stdout F the log ends here: it is full\n" % stamp)


class ContainerProcess:
    """A container's process, its pipe and its log."""

    def __init__(self, spec: PodSpec, container: Container, folder: Path) -> None:
        """Start it.

        Raises:
            OSError: there is no such program, or folder, or it may not be run.
        """
        self.uid, self.name = spec.uid, container.name
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        base = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "HOSTNAME": spec.name,
            MARK: os.environ.get(MARK, ""),
            UID: spec.uid,
        }
        self.child = subprocess.Popen(
            container.argv,
            env={**base, **container.env},
            cwd=container.folder or home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_kubelet,  # noqa: PLW1509 - called from the main thread, which forks alone
        )
        assert self.child.stdout is not None
        self.pipe = self.child.stdout.fileno()
        os.set_blocking(self.pipe, False)
        self._log = Log(folder / f"{container.name}.log")

    def drain(self) -> bool:
        """Move what it has just printed to the log; False once the pipe has closed."""
        try:
            data = os.read(self.pipe, READ_BYTES)
        except BlockingIOError:
            return True
        self._log.write(data)
        return bool(data)

    def send(self, number: int) -> None:
        """Signal every process of its session's group."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)

    def close(self) -> None:
        """After its end: kill what is left of its group, keep the last words."""
        self.send(signal.SIGKILL)
        self.drain()
        self._log.close()
        assert self.child.stdout is not None
        self.child.stdout.close()


def strays(known: set[int]) -> Iterator[tuple[int, str]]:
    """Orphans of pods that came to this process, a child subreaper: their number and their pod's uid."""
    for pid in children_of(os.getpid()) - known:
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                name, _, value = entry.partition(b"=")
                if name == UID.encode():
                    yield pid, value.decode()
