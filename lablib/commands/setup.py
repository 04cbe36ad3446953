"""`lablib setup`: the pinned packages and the control plane's binaries, side by side. Does I/O."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from lablib.cluster import binaries
from lablib.errors import SetupError
from lablib.locks import exclusive
from lablib.process import run
from lablib.settings import REPOSITORY, Settings
from lablib.steps import Reporter, Step, run_steps

VENV: Final = Path(sys.prefix)
STAMP: Final = VENV / "setup.json"
"""Says what is installed; absent while an installation is under way."""
UNFINISHED: Final = VENV / "setup-unfinished"
"""There from before uv writes its first file until it wrote the last: an interruption leaves it behind."""
DISK_NEEDED_BYTES: Final = 8 * 1024**3


def setup(
    cuda: Annotated[
        bool, typer.Option("--cuda", help="Install vLLM's CUDA build, for an NVIDIA GPU.")
    ] = False,
) -> None:
    """Install what the labs need; quick when it is there. Can be interrupted and run again.

    Example: make setup, or .venv/bin/lablib setup --cuda on a machine with a GPU.
    """
    console = Console()
    if Path(sys.base_prefix) == VENV:
        raise SetupError(
            "This Python is not the lab's own",
            where=sys.executable,
            remedy="Run: python3 lablib/bootstrap.py",
        )
    with exclusive(
        VENV / "setup.lock", lambda pid: console.print(f"waiting for another set-up (process {pid})")
    ):
        extra = "cuda" if cuda else installed().get("extra", "cpu")
        wanted = stamp(extra)
        steps = [Step("Control plane", "5 to 8 min when it has to be built", get_binaries)]
        if installed() != wanted:
            steps.insert(0, Step("Python packages", "30 s to 4 min", lambda says: install(extra, says)))
        elif problem_free():
            return
        run_steps(steps, console)
    console.print("[green]✓[/] Set up. Next: [bold]make lab[/], or .venv/bin/lablib lab open 00")


def problem_free() -> bool:
    """True when the binaries are there as well."""
    try:
        binaries.find()
    except SetupError:
        return False
    return True


def installed() -> dict[str, str]:
    """The stamp of the last full installation; empty when there is none, or a damaged one."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def stamp(extra: str) -> dict[str, str]:
    """What an installation is made from; another stamp means installing again."""
    digest = hashlib.sha256(
        b"".join((REPOSITORY / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    )
    return {"extra": extra, "pins": digest.hexdigest(), "python": sys.version, "folder": str(REPOSITORY)}


def install(extra: str, reporter: Reporter) -> str:
    """Install the pinned set with uv; returns what to say about it.

    uv takes a package that was half copied when the disk filled up for an installed one, so that after an
    interruption every package is copied again from uv's cache.

    Raises:
        SetupError: too little disk, or uv's own complaint.
    """
    free, needed = shutil.disk_usage(VENV).free, DISK_NEEDED_BYTES - installed_bytes()
    if free < needed:
        raise SetupError(
            f"{free / 1024**3:.1f} GiB of disk are free, and the packages take {needed / 1024**3:.1f}",
            where=str(VENV),
            remedy="Free some, and run it again",
        )
    STAMP.unlink(missing_ok=True)
    uv = shutil.which("uv") or str(VENV / "bin" / "uv")
    base = [uv, "pip", "install", "--python", sys.executable, "--constraint", "constraints.txt"]
    if extra == "cpu" and has_small_torch(base):
        base += ["--torch-backend", "cpu"]
    if UNFINISHED.exists():
        base += ["--reinstall"]
    UNFINISHED.touch()
    try:
        output = run(
            [*base, "--editable", f".[{extra}]", "--group", "setup", "--group", "dev"],
            cwd=REPOSITORY,
            on_line=lambda line: reporter.advance(line.strip()[:60], 0.5),
        )
    except SetupError as error:
        raise SetupError(
            error.what,
            where=error.where,
            remedy="If the network or the disk is the reason, mend it and run this again: downloads are kept",
        ) from error
    STAMP.write_text(json.dumps(stamp(extra)))
    UNFINISHED.unlink()
    changed = [line for line in output.splitlines() if line.startswith("Installed")]
    return changed[0].split(" in ")[0].lower() if changed else "all there"


def installed_bytes() -> int:
    """What .venv holds already, such as the beginning of an installation that was interrupted."""
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(VENV) for name in names)


def has_small_torch(base: list[str]) -> bool:
    """True when PyTorch's own index answers: its CPU build is smaller by gigabytes than the general one.

    It is asked as if torch were not there: for one that is, uv asks nobody.
    """
    try:
        run(
            [*base, "--torch-backend", "cpu", "--dry-run", "--reinstall-package", "torch", "torch"],
            cwd=REPOSITORY,
            env={"UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"},
        )
    except SetupError:
        return False
    return True


def get_binaries(reporter: Reporter) -> str:
    """Find or build the control plane's binaries; returns where they came from."""
    found = binaries.obtain(Settings(), reporter.say, reporter.advance)
    return f"from {found.source}"
