"""Shut this process in, then run a submission: `python -m lablib.grading.confine POLICY`. Starts a process.

Two processes. The outer one makes namespaces, where it may, and waits; whatever the inner one started and
left behind is handed to it. The inner one gives up, in this order: the machine's network and process table,
memory and files beyond a limit, every file that the policy doesn't name (Landlock), every capability. Then it
runs inside.py. What a kernel lacks is left out here; whoever starts this says so (sandbox.py, `unprotected`).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from landlockpy import AccessFS, AccessNet, Ruleset, Scope

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
MS_REC_PRIVATE: Final = 0x44000
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
CAPABILITY_VERSION: Final = 0x20080522
SIOCSIFFLAGS: Final = 0x8914
IFF_UP_LOOPBACK_RUNNING: Final = 0x1 | 0x8 | 0x40
READ: Final = AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.EXECUTE
OF_A_FILE: Final = AccessFS.READ_FILE | AccessFS.EXECUTE | AccessFS.WRITE_FILE | AccessFS.TRUNCATE
EVERYTHING: Final = ~AccessFS.NONE
MASKED: Final = "/run"
"""Sockets of the machine's services lie here, and Landlock lets a process connect to a socket by its path."""


@dataclass(frozen=True)
class Policy:
    """What a submission may do."""

    scratch: str
    """The one folder that it may write."""
    readable: tuple[str, ...]
    """Files and folders that it may read and execute."""
    memory_bytes: int
    """Of each process."""
    file_bytes: int
    """Of each file."""
    open_files: int
    processes: int
    """Held by the kernel where there is a user namespace; the watch outside holds it everywhere."""
    landlock: bool = True
    namespaces: bool = True
    limits: bool = True

    def text(self) -> str:
        """As an argument of this program."""
        return json.dumps(asdict(self))


def libc(name: str, *arguments: object) -> None:
    """Call a function of the C library.

    Raises:
        OSError: it said no.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def make_namespaces() -> None:
    """Namespaces of its own for processes, network, mounts, names; a user namespace where that takes one.

    Raises:
        OSError: the kernel, or who runs it, doesn't allow that.
    """
    user, group = os.getuid(), os.getgid()
    wanted = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS
    if user == 0:
        libc("unshare", wanted)
        return
    libc("unshare", wanted | CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def namespaces_allowed() -> bool:
    """True when this user may make the namespaces, tried in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            make_namespaces()
            start_loopback()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def start_loopback() -> None:
    """Switch on the loopback of a new network namespace: the only interface it has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", IFF_UP_LOOPBACK_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def mask_sockets() -> None:
    """Put an empty folder where the machine's services have their sockets."""
    libc("mount", b"none", b"/", None, MS_REC_PRIVATE, None)
    if Path(MASKED).is_dir():
        libc("mount", b"none", MASKED.encode(), b"tmpfs", 0, b"size=0,mode=555")


def set_limits(policy: Policy) -> None:
    """Limits of every process from here on."""
    for kind, most in (
        (resource.RLIMIT_DATA, policy.memory_bytes),
        (resource.RLIMIT_FSIZE, policy.file_bytes),
        (resource.RLIMIT_NOFILE, policy.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if policy.namespaces:  # elsewhere the kernel would count every process of this user
        resource.setrlimit(resource.RLIMIT_NPROC, (policy.processes, policy.processes))


def restrict_files(policy: Policy) -> None:
    """Landlock: read what the policy names, write the scratch folder, signal nobody outside.

    Where the network is the machine's own, TCP is forbidden.
    """
    net = AccessNet.NONE if policy.namespaces else AccessNet.BIND_TCP | AccessNet.CONNECT_TCP
    scoped = Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL
    with Ruleset(handled_net=net, scoped=scoped) as ruleset:
        for path in policy.readable:
            if Path(path).exists():
                ruleset.allow_path(path, READ if Path(path).is_dir() else READ & OF_A_FILE)
        ruleset.allow_path("/dev/null", AccessFS.READ_FILE | AccessFS.WRITE_FILE)
        ruleset.allow_path(policy.scratch, ruleset.handled_fs)
        ruleset.restrict()


def drop_capabilities() -> None:
    """Give up every capability. It stays so: Landlock has set no_new_privs."""
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    libc("capset", header, bytes(24))


def shut_in(policy: Policy) -> None:
    """All of it, in the inner process."""
    libc("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if policy.namespaces:
        start_loopback()
        mask_sockets()
    if policy.limits:
        set_limits(policy)
    if policy.landlock:
        restrict_files(policy)
    drop_capabilities()


def confine(policy: Policy, work: Callable[[], None]) -> int:
    """Do work in a process that is shut in. Returns its status, as a shell gives it."""
    libc("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL))
    libc("prctl", PR_SET_CHILD_SUBREAPER, 1)
    if policy.namespaces:
        make_namespaces()
    child = os.fork()
    if child == 0:
        shut_in(policy)
        work()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - status if status < 0 else status


def main() -> None:
    """Run a submission: the job comes on stdin, replies go to the file descriptor that is named."""
    from lablib.grading import inside  # before the files are out of reach

    content = json.loads(sys.argv[1])
    policy = Policy(**{**content, "readable": tuple(content["readable"])})
    sys.exit(confine(policy, lambda: inside.run(int(sys.argv[2]))))


if __name__ == "__main__":
    main()
