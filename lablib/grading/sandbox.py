"""A process tree that runs a submission, shut in and watched from outside. Starts processes.

with Sandbox(policy, job) as sandbox:
    for event in sandbox.events(): ...

What the kernel holds is in confine.py. What is counted from outside is here: processes, memory and disk of
the whole tree, and what it prints.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from threading import Event as Flag
from typing import Final, Self

import psutil
from landlockpy import abi_version

from lablib.grading.confine import Policy, namespaces_allowed
from lablib.settings import REPOSITORY

SYSTEM: Final = (
    *("/usr", "/bin", "/lib", "/lib64", "/sbin"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/fonts", "/etc/mime.types"),
    *("/dev/urandom", "/dev/random", "/dev/zero"),
    *("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
)
GIBIBYTE: Final = 1024**3
LINE_BYTES: Final = 32 * 1024**2
"""A longer reply is none."""
LOOK_SECONDS: Final = 0.05
"""How often the tree is counted."""
LANDLOCK_FOR_NETWORK: Final = 4
"""The ABI from which Landlock can forbid TCP."""


@dataclass(frozen=True)
class Limits:
    """How much a submission may take."""

    cell_seconds: float = 30.0
    total_seconds: float = 240.0
    memory_bytes: int = 2 * GIBIBYTE
    """Of each process; the tree may take half as much again."""
    processes: int = 64
    file_bytes: int = 64 * 1024**2
    disk_bytes: int = 256 * 1024**2
    """Of the scratch folder."""
    open_files: int = 256
    output_bytes: int = 64 * 1024
    """What is kept of what one cell prints."""


@dataclass(frozen=True)
class Protections:
    """What is switched on. All of it, but for the table that shows what each is for."""

    landlock: bool = True
    namespaces: bool = True
    limits: bool = True
    """Memory, files, and the counting of processes and disk."""
    time: bool = True
    """Of each cell; that of the whole always holds."""

    def here(self) -> Protections:
        """Those of them that this machine can give."""
        return replace(
            self,
            landlock=self.landlock and landlock_abi() > 0,
            namespaces=self.namespaces and namespaces_here(),
        )


@cache
def landlock_abi() -> int:
    """Version of the kernel's Landlock; 0 when it has none."""
    return abi_version()


@cache
def namespaces_here() -> bool:
    """True when namespaces may be made here."""
    return namespaces_allowed()


def unprotected() -> tuple[str, ...]:
    """What a submission can reach on this machine although it should not; empty when all is well."""
    found = []
    if not landlock_abi():
        found.append("files that this user can read or write (the kernel has no Landlock)")
    if not namespaces_here():
        found.append("unix sockets of this machine (namespaces are not allowed here)")
        if landlock_abi() < LANDLOCK_FOR_NETWORK:
            found.append("the network")
    return tuple(found)


@dataclass(frozen=True)
class Printed:
    """What the submission printed since the last event."""

    text: bytes


@dataclass(frozen=True)
class Reply:
    """A line that inside.py wrote."""

    line: bytes


@dataclass(frozen=True)
class Ended:
    """It is over; `why` is empty when it ended by itself."""

    why: str = ""


Event = Printed | Reply | Ended


@dataclass
class Sandbox:
    """One run of a submission. The tree is gone and the scratch folder removed when the block ends."""

    job: str
    limits: Limits = field(default_factory=Limits)
    protections: Protections = field(default_factory=Protections)
    process: subprocess.Popen[bytes] = field(init=False)
    started: float = field(init=False)
    stop: Flag | None = None
    """Once it is set, the run ends."""
    deadline: float | None = None
    """On the monotonic clock: when what it does now must have ended."""

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory(prefix="lab-grading-", ignore_cleanup_errors=True)
        ours, theirs = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lablib.grading.confine", self._policy().text(), str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                cwd=self._scratch.name,
                env=environment(self._scratch.name),
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            self._scratch.cleanup()
            raise
        finally:
            os.close(theirs)
        self._replies = os.fdopen(ours, "rb", buffering=0)
        self.started = time.monotonic()
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(self.job.encode())
        return self

    def __exit__(self, *_: object) -> None:
        end_tree(self.process)
        self._replies.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._scratch.cleanup()

    def _policy(self) -> Policy:
        own = [sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])]
        here = self.protections.here()
        return Policy(
            scratch=self._scratch.name,
            readable=(*SYSTEM, *own, str(REPOSITORY / "lablib")),
            memory_bytes=self.limits.memory_bytes,
            file_bytes=self.limits.file_bytes,
            open_files=self.limits.open_files,
            processes=self.limits.processes,
            landlock=here.landlock,
            namespaces=here.namespaces,
            limits=here.limits,
        )

    def events(self) -> Iterator[Event]:
        """What happens, as it happens; the last is Ended."""
        assert self.process.stdout is not None
        printing, replying, buffer = self.process.stdout.fileno(), self._replies.fileno(), b""
        os.set_blocking(printing, False)
        os.set_blocking(replying, False)
        with selectors.DefaultSelector() as selector:
            selector.register(printing, selectors.EVENT_READ)
            selector.register(replying, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select(LOOK_SECONDS)}
                data = read(replying) if replying in ready else b""
                if text := read(printing):  # after the replies: what a cell printed came before its end
                    yield Printed(text)
                elif text is not None and printing in selector.get_map():
                    selector.unregister(printing)
                *lines, buffer = (buffer + (data or b"")).split(b"\n")
                yield from map(Reply, lines)
                ended = replying in ready and data == b""
                why = self._excess(len(buffer))
                if why or ended:
                    yield Ended(why)
                    return

    def _excess(self, pending_bytes: int) -> str:
        """What it has too much of, in words; empty when all is well."""
        now = time.monotonic()
        if self.stop and self.stop.is_set():
            return "grading was interrupted"
        if pending_bytes > LINE_BYTES:
            return "it sent too much"
        if now - self.started > self.limits.total_seconds:
            return f"it took more than {self.limits.total_seconds:g} s in all"
        if self.protections.time and self.deadline is not None and now > self.deadline:
            return f"it took more than {self.limits.cell_seconds:g} s"
        return self._tree_excess() if self.protections.limits else ""

    def _tree_excess(self) -> str:
        tree = descendants(self.process.pid)
        if len(tree) > self.limits.processes:
            return f"it started more than {self.limits.processes} processes"
        most = 1.5 * self.limits.memory_bytes
        if sum(map(resident_bytes, tree)) > most and sum(map(proportional_bytes, tree)) > most:
            return "it took too much memory"
        if folder_bytes(self._scratch.name, self.limits.disk_bytes) > self.limits.disk_bytes:
            return "it wrote too much to the disk"
        return ""


def read(descriptor: int) -> bytes | None:
    """What can be read now: None when there is nothing yet, nothing at all when it has been closed."""
    try:
        return os.read(descriptor, 1024**2)
    except BlockingIOError:
        return None


def environment(scratch: str) -> dict[str, str]:
    """A small environment: nothing of the grader's own goes in."""
    homes = ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")
    return {
        **dict.fromkeys(homes, scratch),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below one."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def alive(process: psutil.Process) -> bool:
    """True unless it has ended."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def resident_bytes(process: psutil.Process) -> int:
    """Memory of a process, what it shares with others counted in full; 0 when it has ended."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return int(process.memory_info().rss)
    return 0


def proportional_bytes(process: psutil.Process) -> int:
    """Memory of a process, with its share of what it shares; takes longer to find out."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return int(process.memory_full_info().pss)
    return 0


def folder_bytes(folder: str, enough: int) -> int:
    """What a folder holds; counting stops at `enough`."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(f"{parent}/{name}").st_blocks * 512 + 4096
        if total > enough:
            break
    return total


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill everything below a process, what called setsid included, then the process itself.

    Orphans are handed to it as long as it lives, so that nothing leaves the tree. Where it has a process
    namespace, the end of the first process in it ends all others at once.
    """
    while tree := [each for each in descendants(process.pid) if alive(each)]:
        for each in tree:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        if process.poll() is not None:
            break
    process.kill()
    process.wait()
