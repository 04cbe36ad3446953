"""Steps side by side: what they say, and how they all end."""

import io
import threading

import pytest
from rich.console import Console

from lablib.errors import SetupError
from lablib.process import run
from lablib.steps import Reporter, Step, run_steps
from tests.waiting import eventually, marked


def plain() -> Console:
    return Console(file=io.StringIO(), width=120)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_each_step_has_a_line_at_its_start_and_at_its_end():
    console = plain()
    run_steps([Step("Packages", "1 min", lambda says: "all [there]")], console)
    assert printed(console) == ["… Packages (usually 1 min)", "✓ Packages: all [there] (0 s)"]


def test_steps_run_side_by_side():
    meeting = threading.Barrier(2, timeout=30)

    def meet(says: Reporter) -> str:
        meeting.wait()
        return "met"

    run_steps([Step("a", "", meet), Step("b", "", meet)], plain())


def test_a_failure_ends_what_the_others_started_and_what_they_start_then():
    started = threading.Event()

    def stubborn(says: Reporter) -> str:
        for _ in range(3):
            try:
                run(
                    ["sh", "-c", "echo on; sleep 600"],
                    env={"LAB_TEST": "steps"},
                    on_line=lambda _: started.set(),
                )
            except SetupError:
                continue
        return "gave up"

    def fail(says: Reporter) -> str:
        assert started.wait(30)
        raise SetupError("no network")

    with pytest.raises(SetupError, match="no network"):
        run_steps([Step("stubborn", "", stubborn), Step("fail", "", fail)], plain())
    assert eventually(lambda: not marked("LAB_TEST", "steps"))


def test_a_step_that_waits_for_ever_does_not_hold_the_failure_up():
    never = threading.Event()

    def wait(says: Reporter) -> str:
        never.wait()
        return ""

    def fail(says: Reporter) -> str:
        raise SetupError("broken")

    with pytest.raises(SetupError, match="broken"):
        run_steps([Step("wait", "", wait), Step("fail", "", fail)], plain())
    never.set()
