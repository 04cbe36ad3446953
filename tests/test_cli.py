"""The root of the command line: exit statuses, messages, and that it starts light."""

import json
import subprocess
import sys

import pytest

from lablib import cli
from lablib.errors import SetupError

HEAVY = {"IPython", "kubernetes", "matplotlib", "nbformat", "numba", "numpy", "ray", "scipy", "torch", "vllm"}


def lablib(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lablib", *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_every_command_and_succeeds():
    done = lablib("--help")
    assert done.returncode == 0
    for name in ("bench", "cluster", "doctor", "setup"):
        assert name in done.stdout


@pytest.mark.parametrize("only", [None, "setup", "doctor", "cluster"])
def test_nothing_heavy_is_imported_to_build_the_command_line(only: str | None):
    program = (
        f"import json, sys\nfrom lablib import cli\ncli.build({only!r})\nprint(json.dumps(list(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert HEAVY & {name.split(".")[0] for name in json.loads(output)} == set()


def test_a_named_command_imports_no_other():
    program = (
        "import sys, lablib.cli\n"
        "lablib.cli.build('setup')\n"
        "print(*[name for name in sys.modules if name.startswith('lablib.commands.')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["lablib.commands.setup"]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["nonsense"], ["setup", "--nonsense"]])
def test_wrong_usage_is_status_2(arguments: list[str]):
    done = lablib(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_error_is_three_lines_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(only: str | None) -> None:
        raise SetupError("uv failed: extra [cpu] is [bold]unknown", where="uv pip", remedy="Run: make setup")

    monkeypatch.setattr(cli, "build", lambda only: lambda: fail(only))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "✗ uv failed: extra [cpu] is [bold]unknown",
        "  where: uv pip",
        "  try:   Run: make setup",
    ]


def test_an_interruption_is_status_130(monkeypatch: pytest.MonkeyPatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build", lambda only: interrupt)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
