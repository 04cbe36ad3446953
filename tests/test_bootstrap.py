"""The bootstrap, run as a program in a folder of its own."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lablib.settings import REPOSITORY


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "lablib").mkdir()
    for name in ("lablib/bootstrap.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


def bootstrap(checkout: Path, python: str = sys.executable, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(checkout / "lablib" / "bootstrap.py")],
        env={"HOME": str(checkout), "LC_ALL": "C.UTF-8", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def old_python() -> str | None:
    for minor in (10, 9, 8, 7, 6):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-V"], capture_output=True, check=False).returncode == 0:
            return path
    return None


@pytest.mark.skipif(old_python() is None, reason="no Python before 3.11 here")
def test_an_old_python_says_which_one_is_needed(checkout: Path):
    python = old_python()
    assert python is not None
    done = bootstrap(checkout, python, PATH="")
    assert done.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_network_it_says_so_and_leaves_no_half_installation(checkout: Path):
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv on PATH")
    nowhere = "http://127.0.0.1:9"
    done = bootstrap(
        checkout, PATH=os.environ["PATH"], ALL_PROXY=nowhere, HTTPS_PROXY=nowhere, UV_HTTP_RETRIES="0"
    )
    assert done.returncode == 1
    assert "Set-up can't begin" in done.stderr
    assert "network" in done.stderr
    assert not (checkout / ".venv" / "setup.json").exists()


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(checkout: Path):
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv on PATH")
    done = bootstrap(checkout, PATH=os.environ["PATH"], HOME=os.devnull)
    assert done.returncode == 1
    assert "UV_CACHE_DIR=" in done.stderr
    assert "LAB_CACHE_DIR=" in done.stderr
    assert not (checkout / ".venv" / "setup.json").exists()


def test_two_at_once_take_turns(checkout: Path):
    folder = os.open(checkout, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with subprocess.Popen(
        [sys.executable, str(checkout / "lablib" / "bootstrap.py")],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "", "HOME": str(checkout)},
    ) as second:
        assert second.stderr is not None
        assert second.stderr.readline() == "waiting for another set-up in this folder\n"
        assert not (checkout / ".venv").exists()
        second.kill()
    os.close(folder)
