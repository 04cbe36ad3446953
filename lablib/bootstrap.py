"""From a bare machine to `lablib setup`: type `python3 lablib/bootstrap.py`.

Makes .venv with a supported Python, gets uv into it if the machine has none, installs the handful of
packages that `lablib setup` needs, and hands over to it. Runs on any Python 3.6 or newer, with the standard
library alone, since it has to say what is wrong on a machine that has nothing else.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from typing import Optional, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
UV_PACKAGE = "uv==0.13.9"
SUPPORTED = ((3, 11), (3, 12), (3, 13))


class Trouble(Exception):
    """What went wrong, and what to try."""


def run(*command: str) -> str:
    """Run a program; Trouble with the end of what it printed when it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        raise Trouble("%s can't be started: %s" % (command[0], error.strerror)) from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.decode("utf-8", "replace").strip().splitlines()[-8:])
        raise Trouble("%s failed:\n%s" % (" ".join(command[:4]), tail))
    return done.stdout.decode("utf-8", "replace")


def version_of(python: str) -> Optional[Tuple[int, ...]]:
    """(3, 11) of an interpreter; None when it does not run."""
    try:
        return tuple(
            int(part) for part in run(python, "-c", "import sys; print(*sys.version_info[:2])").split()
        )
    except (Trouble, ValueError):
        return None


def choose_python() -> Optional[str]:
    """A supported interpreter of this machine; None when there is none."""
    names = [sys.executable] + ["python3.%d" % minor for _, minor in SUPPORTED]
    paths = [shutil.which(name) for name in names]
    return next((path for path in paths if path and version_of(path) in SUPPORTED), None)


def make_venv(python: Optional[str], uv: Optional[str]) -> None:
    """Make .venv; with uv if there is one, and with uv's own Python when the machine has none."""
    if version_of(PYTHON) in SUPPORTED:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if uv:
        run(uv, "venv", "--quiet", "--python", python or "3.11", VENV)
    elif python is None:
        raise Trouble(
            "Python 3.11, 3.12 or 3.13 is needed, and this is %d.%d.\n"
            "  try: install one of them (Debian and Ubuntu: apt install python3.11 python3.11-venv),\n"
            "       or install uv, which brings a Python of its own, and run this again"
            % sys.version_info[:2]
        )
    else:
        try:
            run(python, "-m", "venv", VENV)
        except Trouble:
            shutil.rmtree(VENV, ignore_errors=True)  # it may have a Python and no pip
            raise


def get_uv() -> str:
    """The uv to use: the machine's, .venv's, or one that pip puts into .venv."""
    inside = os.path.join(VENV, "bin", "uv")
    if shutil.which("uv") or os.path.exists(inside):
        return shutil.which("uv") or inside
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV_PACKAGE)
    return inside


def install_setup_packages(uv: str) -> None:
    """Install what `lablib setup` imports, at the pinned versions.

    All of it again if it is there: an earlier try may have been cut in the middle of a file.
    """
    group = os.path.join(ROOT, "pyproject.toml") + ":setup"
    pins = os.path.join(ROOT, "constraints.txt")
    install = (uv, "pip", "install", "--quiet", "--reinstall", "--python", PYTHON)
    run(*install, "--group", group, "--constraint", pins)


def ready() -> bool:
    """True when `lablib setup` can start as things are."""
    return version_of(PYTHON) in SUPPORTED and os.path.exists(os.path.join(VENV, "setup.json"))


def take_turns() -> None:
    """Wait until no other bootstrap works in this folder; the lock ends with this program."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("waiting for another set-up in this folder\n")
        fcntl.flock(folder, fcntl.LOCK_EX)


def bootstrap() -> None:
    """Get to the point where `lablib setup` can run."""
    if sys.platform != "linux":
        raise Trouble("Linux is needed (WSL2 will do), and this is %s" % sys.platform)
    if not ready():
        take_turns()
        make_venv(choose_python(), shutil.which("uv"))
        install_setup_packages(get_uv())


def main() -> None:
    """Bootstrap, then become `lablib setup` with the same arguments."""
    try:
        bootstrap()
    except Trouble as trouble:
        sys.stderr.write("✗ Set-up can't begin: %s\n" % trouble)
        if "Failed to initialize cache" in str(trouble):
            sys.stderr.write(
                "  try: name folders that you may write:\n"
                "       UV_CACHE_DIR=/some/where LAB_CACHE_DIR=/some/where "
                "LAB_STATE_DIR=/some/where make setup\n"
            )
        elif "failed:" in str(trouble):
            sys.stderr.write(
                "  try: look whether the network and the disk are there, then run this again\n"
                "       (Debian and Ubuntu split venv off Python: apt install python3-venv)\n"
            )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run it again to go on\n")
        sys.exit(130)
    os.chdir(ROOT)
    os.execv(PYTHON, [PYTHON, "-m", "lablib", "setup", *sys.argv[1:]])


if __name__ == "__main__":
    main()
