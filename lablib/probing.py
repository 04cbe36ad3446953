"""Find out what this machine has: the probes behind `lablib doctor`. Does I/O; changes nothing.

Each probe is a function without arguments. They run side by side, and one that breaks becomes a row.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psutil

from lablib import doctor
from lablib.cluster import binaries, gobuild, releases
from lablib.doctor import Requirement, State
from lablib.errors import SetupError
from lablib.settings import REPOSITORY, Settings

ANSWER_SECONDS: Final = 8
"""How long a network source may take to answer."""
PROCESSES_NEEDED: Final = 2048
OPEN_FILES_NEEDED: Final = 1024
WATCHES_NEEDED: Final = 8192
LANDLOCK_CREATE_RULESET: Final = 444
"""The system call's number, the same on x86-64 and arm64."""
LANDLOCK_VERSION_FLAG: Final = 1

Probe = Callable[[], Requirement]


def examine(probes: Iterable[tuple[str, Probe]] | None = None) -> list[Requirement]:
    """Run all probes side by side; one row each, in the order of the table."""
    chosen = list(PROBES.items() if probes is None else probes)
    with ThreadPoolExecutor(len(chosen)) as pool:
        return list(pool.map(lambda each: _guarded(*each), chosen))


def _guarded(name: str, probe: Probe) -> Requirement:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 - whatever breaks is a row of the report
        return doctor.failed_probe(name, error)


def installed() -> bool:
    """True when a whole set-up went through in this .venv."""
    return (Path(sys.prefix) / "setup.json").exists()


def have_binaries() -> bool:
    """True when the control plane's binaries are there."""
    try:
        binaries.find()
    except SetupError:
        return False
    return True


def disk() -> Requirement:
    """Free disk where the packages go."""
    free = shutil.disk_usage(REPOSITORY).free
    return doctor.disk(free, str(REPOSITORY), installed=installed() and have_binaries())


def memory() -> Requirement:
    """Installed memory, or what the control group allows when that is less."""
    total = psutil.virtual_memory().total
    bound = Path("/sys/fs/cgroup/memory.max")
    text = bound.read_text().strip() if bound.exists() else "max"
    return doctor.memory(min(total, int(text)) if text.isdigit() else total)


def python() -> Requirement:
    """This Python."""
    return doctor.python(sys.version_info[:2], sys.executable)


def packages() -> Requirement:
    """The pinned packages."""
    if installed():
        return Requirement("packages", State.FOUND, f"installed in {sys.prefix}")
    return Requirement("packages", State.MISSING, f"not all in {sys.prefix}", "Run: make setup")


def control_plane() -> Requirement:
    """The control plane's binaries, every byte of them compared."""
    try:
        found = binaries.find()
    except SetupError as error:
        return Requirement("control plane", State.MISSING, f"{error.what} ({error.where})", error.remedy)
    problem = binaries.damage(found.folder, full=True) if found.source == "the cache" else None
    if problem:
        return Requirement("control plane", State.MISSING, problem, "Run: make setup")
    return Requirement("control plane", State.FOUND, f"{found.folder}")


def go() -> Requirement:
    """The Go toolchain on PATH."""
    path = shutil.which("go")
    version = gobuild.go_version(Path(path)) if path else None
    return doctor.go(version, gobuild.GO_NEEDED, binaries=have_binaries())


def uv() -> Requirement:
    """The installer of Python packages: the machine's, or the one in .venv."""
    inside = Path(sys.prefix) / "bin" / "uv"
    path = shutil.which("uv") or (str(inside) if inside.exists() else None)
    return doctor.program("uv", path, "Run: make setup", required=True)


def compiler() -> Requirement:
    """A C++ compiler: vLLM's CPU build works without, compiled kernels need one."""
    path = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    return doctor.program("C++ compiler", path, "Debian, Ubuntu: apt install g++. Only for torch.compile")


def make() -> Requirement:
    """The program `make`."""
    remedy = "apt install make, or type: python3 lablib/bootstrap.py, then .venv/bin/lablib lab open 00"
    return doctor.program("make", shutil.which("make"), remedy)


def browser() -> Requirement:
    """A browser for the browser test."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    return doctor.program("Chromium", path, "Debian: apt install chromium. Only for the browser test")


def checkout() -> Requirement:
    """Git, and whether this folder is a clone."""
    path = shutil.which("git")
    detail = "a clone" if (REPOSITORY / ".git").exists() else "an unpacked archive: updates need a new one"
    found = doctor.program("git", path, "Only for updates: apt install git")
    return Requirement("git", found.state, f"{found.detail}; {detail}", found.remedy, required=False)


def landlock() -> Requirement:
    """The kernel's sandbox, which the grader uses; the kernel is asked for the version it speaks."""
    version = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION_FLAG)
    if version > 0:
        return Requirement(
            "Landlock", State.FOUND, f"version {version}; shuts in what is graded", required=False
        )
    detail = "not in this kernel: the grader shuts submissions in less tightly"
    return Requirement("Landlock", State.MISSING, detail, "Linux 5.13 or newer with Landlock", required=False)


def gpu() -> Requirement:
    """An NVIDIA driver."""
    version = Path("/proc/driver/nvidia/version")
    if version.exists():
        detail = version.read_text().splitlines()[0]
        return Requirement("NVIDIA driver", State.FOUND, detail, required=False)
    return Requirement("NVIDIA driver", State.MISSING, "none: GPUs are simulated", required=False)


def processes() -> Requirement:
    """How many processes this user may have."""
    return doctor.limit("processes", _soft(resource.RLIMIT_NPROC), PROCESSES_NEEDED, "ulimit -u 4096")


def open_files() -> Requirement:
    """How many files a process may open; programs may lift the soft limit up to the hard one."""
    hard = _hard(resource.RLIMIT_NOFILE)
    return doctor.limit("open files", hard, OPEN_FILES_NEEDED, "Raise the limit in /etc/security/limits.conf")


def watches() -> Requirement:
    """How many files this user may watch."""
    found = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    remedy = "sudo sysctl fs.inotify.max_user_watches=65536"
    return doctor.limit("file watches", found, WATCHES_NEEDED, remedy)


def loopback() -> Requirement:
    """A port on loopback that can be listened at and reached."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError as error:
        return Requirement("loopback", State.MISSING, str(error), "Bring it up: sudo ip link set lo up")
    return Requirement("loopback", State.FOUND, "127.0.0.1 answers")


def cache_folder() -> Requirement:
    """The folder of the binaries."""
    return _writable("cache folder", Settings().cache_dir, "LAB_CACHE_DIR")


def state_folder() -> Requirement:
    """The folder of the running clusters."""
    return _writable("state folder", Settings().state_dir, "LAB_STATE_DIR")


def other_setup() -> Requirement:
    """Whether a set-up is under way now."""
    for lock in (Path(sys.prefix) / "setup.lock", Settings().cache_dir / "binaries.lock"):
        holder = _holder(lock)
        if holder:
            remedy = "Wait for it, or end it and run make setup again"
            return Requirement("set-up lock", State.FOUND, f"held by process {holder}", remedy)
    return Requirement("set-up lock", State.FOUND, "free")


def python_packages() -> Requirement:
    """Whether uv's configured index answers."""
    command = ["pip", "compile", "--quiet", "--no-cache", "--no-deps", "--python-version", "3.11", "-"]
    tool = shutil.which("uv") or str(Path(sys.prefix) / "bin" / "uv")
    complaint = _complaint([tool, *command], {"UV_HTTP_RETRIES": "0"}, stdin="platformdirs")
    return doctor.source("Python packages", complaint, needed=not installed())


def go_modules() -> Requirement:
    """Whether Go's configured proxy answers."""
    needed = not have_binaries()
    tool = shutil.which("go")
    if tool is None:
        return Requirement("Go modules", State.UNKNOWN, "can't be asked without Go", required=False)
    with tempfile.TemporaryDirectory() as empty:
        env = {"GOMODCACHE": empty, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "GO111MODULE": "on"}
        complaint = _complaint([tool, "list", "-m", "go.etcd.io/etcd/server/v3@v3.7.3"], env, cwd=empty)
    return doctor.source("Go modules", complaint, needed=needed)


def official_releases() -> Requirement:
    """Whether any release can be used: one without a pinned checksum is not."""
    try:
        archives = releases.read(releases.PINS, os.uname().machine)
    except SetupError:
        return Requirement(
            "official releases", State.UNKNOWN, "not used: none has a pinned checksum", required=False
        )
    return Requirement("official releases", State.FOUND, f"{len(archives)} pinned", required=False)


def _soft(name: int) -> int | None:
    soft, _ = resource.getrlimit(name)
    return None if soft == resource.RLIM_INFINITY else soft


def _hard(name: int) -> int | None:
    _, hard = resource.getrlimit(name)
    return None if hard == resource.RLIM_INFINITY else hard


def _writable(name: str, folder: Path, variable: str) -> Requirement:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Requirement(name, State.FOUND, str(folder))
    remedy = f"Name a folder that you may write: {variable}=/some/where"
    return Requirement(name, State.MISSING, f"{existing} can't be written", remedy)


def _holder(lock: Path) -> str | None:
    """The process that holds a lock file; None when nobody does."""
    if not lock.exists():
        return None
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read(32).decode(errors="replace").strip() or "unknown"
    return None


def _complaint(
    argv: list[str], env: dict[str, str], *, stdin: str = "", cwd: str | None = None
) -> str | None:
    """Why a program that asks the network fails, in a line; None when it does not."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
            cwd=cwd,
            env={**os.environ, **env},
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {ANSWER_SECONDS} s"
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1].strip() if lines else f"status {done.returncode}"


PROBES: Final[dict[str, Probe]] = {
    "Python": python,
    "uv": uv,
    "packages": packages,
    "control plane": control_plane,
    "disk": disk,
    "memory": memory,
    "cache folder": cache_folder,
    "state folder": state_folder,
    "loopback": loopback,
    "set-up lock": other_setup,
    "Python packages": python_packages,
    "Go modules": go_modules,
    "official releases": official_releases,
    "Go": go,
    "make": make,
    "git": checkout,
    "C++ compiler": compiler,
    "Chromium": browser,
    "Landlock": landlock,
    "NVIDIA driver": gpu,
    "processes": processes,
    "open files": open_files,
    "file watches": watches,
}
"""What is examined, in the order of the report."""
