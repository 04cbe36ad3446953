"""JupyterLab on the learner's copies, quiet and local. Does I/O; starts JupyterLab."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from jupyter_server.serverapp import list_running_servers
from rich.console import Console

from lablib.cluster.supervisor import PR_SET_PDEATHSIG
from lablib.errors import SetupError
from lablib.settings import REPOSITORY

CONFIG: Final = REPOSITORY / "lablib" / "jupyter_config"
"""Switches off what asks the network or is for instructors only."""
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 10.0


def serve(notebook: Path, *, port: int, browser: bool) -> None:
    """Run JupyterLab with this notebook open until it ends; Ctrl-C ends it and its kernels.

    One that serves the same folder already is named instead.

    Raises:
        SetupError: it does not start; with what it said.
    """
    console = Console(highlight=False, soft_wrap=True)
    root = notebook.parent.parent
    where = f"lab/tree/{quote(notebook.relative_to(root).as_posix())}"
    address = running(root)
    if address:
        console.print(f"JupyterLab runs already: {address.replace('lab?', f'{where}?')}")
        return
    with (root / "jupyterlab.log").open("wb") as log, _start(root, where, port, browser, log) as server:
        try:
            console.print(f"[bold]{_await(server, root, where)}[/]")
            console.print("That is JupyterLab's address. Ctrl-C ends it and everything that it started.")
            server.wait()
        except KeyboardInterrupt:
            console.print("\nJupyterLab ends.")
        finally:
            _stop(server)


def running(root: Path) -> str:
    """The address of a JupyterLab that serves this folder; "" when there is none."""
    for server in list_running_servers():
        if Path(server["root_dir"]).resolve() == root.resolve():
            return f"{server['url']}lab?token={server['token']}"
    return ""


def _start(root: Path, where: str, port: int, browser: bool, log: BinaryIO) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={root}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        f"--LabApp.default_url=/{where}",
        "--LabApp.extension_manager=readonly",
        "--ServerApp.log_level=WARN",
        *(["--allow-root"] if os.geteuid() == 0 else []),  # as in a container; it listens on loopback only
    ]
    paths = [str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    env = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}
    # A session of its own: Ctrl-C is for us, who end it in good order. When we die, it gets SIGTERM.
    return subprocess.Popen(
        command,
        env=env,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
    )


def _end_with_parent() -> None:
    """Runs in the child: SIGTERM, which ends the server and its kernels, when the parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _await(server: subprocess.Popen[bytes], root: Path, where: str) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        address = running(root)
        if address:
            return address.replace("lab?", f"{where}?")
        if server.poll() is not None:
            break
        time.sleep(0.1)
    said = (root / "jupyterlab.log").read_text(errors="replace")[-1500:].strip()
    raise SetupError(
        f"JupyterLab does not start:\n{said}",
        where=str(root / "jupyterlab.log"),
        remedy="Take another port: lablib lab open 00 --port 0",
    )


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
