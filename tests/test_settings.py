"""Settings come from LAB_ variables and the XDG folders, and are read anew each time."""

import os
from pathlib import Path

import pytest

from lablib.settings import QUIET, Settings, go_quiet


def test_folders_follow_xdg_and_lab_variables_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LAB_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Settings().cache_dir == tmp_path / "lablib"
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "mine"))
    assert Settings().cache_dir == tmp_path / "mine"


def test_reports_to_others_are_off_unless_the_user_wants_them(monkeypatch: pytest.MonkeyPatch):
    for name in QUIET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    go_quiet()
    assert {name: os.environ[name] for name in QUIET} == QUIET | {"RAY_USAGE_STATS_ENABLED": "1"}
