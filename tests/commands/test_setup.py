"""The packages' step of `lablib setup`, with a uv that does as it is told."""

import json
from pathlib import Path

import pytest

from lablib.commands import setup as module
from lablib.errors import SetupError

UV = """#!/bin/sh
echo "$@" >> {log}
[ -e {broken} ] && echo "No space left on device" && exit 2
echo "Installed 3 packages in 1s"
"""


class Silent:
    """A reporter that nobody looks at."""

    def say(self, what: str) -> None: ...

    def advance(self, what: str, share: float) -> None: ...


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as .venv with a uv that logs its arguments to uv.log and fails while `broken` is there."""
    program = tmp_path / "uv"
    program.write_text(UV.format(log=tmp_path / "uv.log", broken=tmp_path / "broken"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(module, "STAMP", tmp_path / "setup.json")
    monkeypatch.setattr(module, "UNFINISHED", tmp_path / "setup-unfinished")
    return tmp_path


def calls(folder: Path) -> list[str]:
    return [line for line in (folder / "uv.log").read_text().splitlines() if "--dry-run" not in line]


def test_a_first_installation_copies_what_is_missing(uv: Path):
    assert module.install("cuda", Silent()) == "installed 3 packages"
    assert module.installed() == module.stamp("cuda")
    assert "--reinstall" not in calls(uv)[0]


def test_after_an_interruption_every_package_is_copied_again(uv: Path):
    (uv / "broken").touch()
    for _ in range(2):
        with pytest.raises(SetupError, match="No space left"):
            module.install("cuda", Silent())
        assert module.installed() == {}
    (uv / "broken").unlink()

    module.install("cuda", Silent())
    module.install("cuda", Silent())

    assert ["--reinstall" in call for call in calls(uv)] == [False, True, True, False]


@pytest.mark.parametrize("content", ["", "{", '{"extra": "cu', "[1]"])
def test_a_damaged_stamp_counts_as_none(uv: Path, content: str):
    (uv / "setup.json").write_text(content)
    assert module.installed() == {}


def test_the_small_torch_is_asked_for_also_where_one_is_installed(uv: Path):
    module.install("cpu", Silent())
    probe, installation = (uv / "uv.log").read_text().splitlines()
    assert "--dry-run --reinstall-package torch" in probe
    assert "--torch-backend cpu" in installation


def test_another_extra_or_pin_is_another_installation(uv: Path):
    module.install("cpu", Silent())
    assert json.loads((uv / "setup.json").read_text()) == module.stamp("cpu") != module.stamp("cuda")
