"""A submission's side of grading: run its cells, then call its answers, inside the sandbox. Does I/O.

A job comes on stdin, as JSON. Replies go out as lines of JSON, when something begins and when it has ended:

    {"begin": "cell 3"}      {"end": "cell 3", "error": "NameError: ..."}
    {"begin": "answer 1.2"}  {"end": "answer 1.2", "outcomes": [...]}
    {"end": "job"}

An answer that is no function has "what" it is in place of outcomes.

Whatever a notebook does here, it can send data only. It never meets a right answer, and its word is not taken
for anything but what its answers are.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from lablib.grading.attempts import TimeLimit, attempt_all, off_limits, time_limit
from lablib.grading.plain import shown

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lablib.grading.checks import Exercise


@dataclass(frozen=True)
class Cell:
    """A code cell to run."""

    name: str
    """Such as "cell 3"."""
    source: str
    definitions_only: bool = False
    """True for the lab's own cells, which measure on a cluster: imports, definitions and constants run."""


@dataclass(frozen=True)
class Question:
    """An exercise whose answer is to be called."""

    number: str
    seed: str
    """Of the hidden cases."""

    @property
    def name(self) -> str:
        """Such as "answer 1.2"."""
        return f"answer {self.number}"


@dataclass(frozen=True)
class Job:
    """What is to be run, in order."""

    lab: str
    cells: tuple[Cell, ...]
    questions: tuple[Question, ...]
    cell_seconds: float

    def text(self) -> str:
        """As a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, text: str) -> Job:
        """The job of a line of JSON."""
        content = json.loads(text)
        cells = tuple(Cell(**each) for each in content["cells"])
        questions = tuple(Question(**each) for each in content["questions"])
        return cls(content["lab"], cells, questions, content["cell_seconds"])


class Bystander:
    """Stands in for `check`, `predict` and `ledger`: whatever is asked of it, nothing happens."""

    def __call__(self, *_: object, **__: object) -> Bystander:
        """Itself."""
        return self

    def __getattr__(self, name: str) -> Bystander:
        if name.startswith("_"):
            raise AttributeError(name)
        return self


class Check(Bystander):
    """Stands in for `check`: an answer that another one builds on is the library's own."""

    def __init__(self, known: Mapping[str, Exercise]) -> None:
        self._known = known

    def best(self, number: str, _answer: object = None) -> Callable[..., Any]:
        """The library's function; it refuses to work while the exercise itself is judged."""
        return self._known[number].reference


def run(replies: int) -> None:
    """Run the job that stdin brings; replies go to a file descriptor."""
    job = Job.read(sys.stdin.read())
    channel = os.fdopen(replies, "w", buffering=1)
    os.set_inheritable(replies, False)

    def reply(**content: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        channel.write(json.dumps(content) + "\n")
        channel.flush()

    from lablib.grading.cases import exercises
    from lablib.grading.checks import cases_with_hidden

    known = exercises(job.lab)
    inputs = {
        each.number: [case.arguments for case in cases_with_hidden(known[each.number], each.seed)]
        for each in job.questions
    }
    shell = make_shell(known)
    with off_limits(chain.from_iterable(exercise.forbidden for exercise in known.values())):
        for cell in job.cells:
            reply(begin=cell.name)
            reply(end=cell.name, error=run_cell(shell, cell, job.cell_seconds))
    for question in job.questions:
        reply(begin=question.name)
        exercise = known[question.number]
        answer = shell.user_ns.get(exercise.name)
        with off_limits(exercise.forbidden):
            reply(end=question.name, **outcomes(answer, inputs[question.number]))
    reply(end="job")
    os._exit(0)  # threads and exit handlers of the notebook are not waited for


def outcomes(answer: object, inputs: list[tuple[Any, ...]]) -> Mapping[str, object]:
    """What came of an answer, for a reply."""
    if answer is None:
        return {"outcomes": []}
    if not callable(answer):
        return {"what": shown(answer)}
    called: Callable[..., Any] = answer
    return {"outcomes": [asdict(outcome) for outcome in attempt_all(called, inputs)]}


def make_shell(known: Mapping[str, Exercise]) -> InteractiveShell:
    """IPython without its history, colours and profile: what a kernel runs cells in."""
    from IPython.core.interactiveshell import InteractiveShell

    class Shell(InteractiveShell):
        system = InteractiveShell.system_raw  # the other way needs a pseudo-terminal

    os.environ["MPLBACKEND"] = "agg"
    shell: InteractiveShell = Shell.instance(colors="NoColor", history_length=0)
    assert shell.history_manager is not None
    shell.history_manager.enabled = False
    shell.user_ns |= {"check": Check(known), "predict": Bystander(), "ledger": Bystander()}
    return shell


def run_cell(shell: InteractiveShell, cell: Cell, seconds: float) -> str:
    """Run a cell; returns its error as "NameError: ...", or nothing."""
    source = definitions(cell.source) if cell.definitions_only else cell.source
    try:
        with time_limit(seconds):
            result = shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
    except BaseException as escaped:  # noqa: BLE001 - a cell may raise whatever it likes
        error = escaped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if isinstance(error, TimeLimit):
        return f"It took more than {seconds:g} s"
    return f"{type(error).__name__}: {error}"[:400] if error is not None else ""


def definitions(source: str) -> str:
    """Of one of the lab's own cells: imports, functions, classes, and names of constants."""
    kept = [node for node in ast.parse(source).body if defines(node)]
    return ast.unparse(ast.Module(kept, []))


def defines(node: ast.stmt) -> bool:
    """True for a statement that only gives names to things."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return True
    return isinstance(node, ast.Assign) and (is_constant(node.value) or is_best(node.value))


def is_best(node: ast.expr) -> bool:
    """True for `check.best(...)`: a name for a function that later answers may call."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "check.best"


def is_constant(node: ast.expr) -> bool:
    """True for a literal."""
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
