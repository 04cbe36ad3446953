"""Locks between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lablib.errors import SetupError
from lablib.locks import exclusive, make_folder

HOLD = """
import pathlib, sys
from lablib.locks import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_whoever_waits_learns_who_holds_it_and_a_killed_holder_lets_go(tmp_path: Path):
    lock, told = tmp_path / "lock", []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def on_wait(pid: str) -> None:
            told.append(pid)
            holder.kill()

        with exclusive(lock, on_wait):
            assert lock.read_text() == str(os.getpid())
        assert told == [str(holder.pid)]


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path):
    told: list[str] = []
    with exclusive(tmp_path / "lock", told.append):
        pass
    assert told == []


def test_a_folder_that_can_not_be_made_names_the_variable(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError) as error:
        make_folder(tmp_path / "file" / "cache", "LAB_CACHE_DIR")
    assert "LAB_CACHE_DIR=" in error.value.remedy
    with pytest.raises(SetupError, match="lock can't be opened"), exclusive(tmp_path / "none" / "lock"):
        pass
