"""The judgements of lablib.doctor by equality, and the real probes on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lablib import doctor, probing
from lablib.commands.doctor import show
from lablib.doctor import GIB, Requirement, State
from lablib.locks import exclusive


def test_disk_asks_for_less_once_everything_is_installed():
    assert doctor.disk(2 * GIB, "/home", installed=False) == Requirement(
        "disk", State.SMALL, "2.0 GiB free under /home, 12 needed", "Free some disk"
    )
    assert doctor.disk(2 * GIB, "/home", installed=True).state is State.FOUND


def test_a_small_memory_is_told_and_does_not_stop_anyone():
    small = doctor.memory(4 * GIB)
    assert small.state is State.SMALL
    assert small.well
    assert small.remedy
    assert doctor.memory(int(7.7 * GIB)).state is State.FOUND


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 8), State.OLD), ((3, 11), State.FOUND), ((3, 13), State.FOUND), ((3, 14), State.UNKNOWN)],
)
def test_python(version: tuple[int, int], state: State):
    assert doctor.python(version, "python").state is state
    assert doctor.python(version, "python").well is (state is State.FOUND)


def test_go_is_never_required_since_set_up_fetches_one():
    assert doctor.go(None, (1, 26), binaries=False).state is State.MISSING
    assert doctor.go((1, 22), (1, 26), binaries=False).state is State.OLD
    assert doctor.go((1, 26), (1, 26), binaries=True).state is State.FOUND
    assert all(doctor.go(version, (1, 26), binaries=False).well for version in (None, (1, 22)))


def test_a_source_that_is_silent_matters_only_while_it_is_needed():
    assert not doctor.source("Go modules", "no answer", needed=True).well
    assert doctor.source("Go modules", "no answer", needed=False).well
    assert doctor.source("Go modules", None, needed=True).state is State.FOUND


def test_limits():
    assert doctor.limit("open files", None, 10, "lift").detail == "unlimited"
    assert doctor.limit("open files", 9, 10, "lift") == Requirement(
        "open files", State.SMALL, "9, 10 needed", "lift", required=False
    )


def test_everything_required_has_to_be_there():
    found = Requirement("a", State.FOUND, "")
    optional = Requirement("b", State.MISSING, "", required=False)
    assert doctor.all_well([found, optional])
    assert not doctor.all_well([found, Requirement("c", State.MISSING, "")])


def test_a_probe_that_breaks_is_a_row_and_the_others_go_on():
    def broken() -> Requirement:
        raise PermissionError("no /proc here")

    rows = probing.examine([("limits", broken), ("loopback", probing.loopback)])
    assert rows[0].state is State.UNKNOWN
    assert "no /proc here" in rows[0].detail
    assert rows[1] == Requirement("loopback", State.FOUND, "127.0.0.1 answers")


def test_a_set_up_under_way_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    assert probing.other_setup().detail == "free"
    with exclusive(tmp_path / "binaries.lock"):
        assert probing.other_setup().detail == f"held by process {os.getpid()}"
    assert probing.other_setup().detail == "free"


def test_a_cache_folder_that_can_not_be_made_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "file" / "cache"))
    row = probing.cache_folder()
    assert not row.well
    assert "LAB_CACHE_DIR" in row.remedy


def test_brackets_of_other_programs_do_not_vanish(capsys: pytest.CaptureFixture[str]):
    from rich.console import Console

    show(Console(width=200), [Requirement("uv", State.MISSING, "error: [red] herring")])
    assert "[red] herring" in capsys.readouterr().out


def test_the_command_prints_json_and_never_a_traceback(tmp_path: Path):
    """On a machine with nothing on PATH and a proxy that is not there."""
    done = subprocess.run(
        [sys.executable, "-m", "lablib", "doctor", "--json"],
        env={"PATH": "", "HOME": str(tmp_path), "LAB_BINARIES_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert done.stderr == ""
    assert list(rows) == list(probing.PROBES)
    assert rows["control plane"]["state"] == "missing"
    assert rows["control plane"]["remedy"]
