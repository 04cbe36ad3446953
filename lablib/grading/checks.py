"""Judge an answer: run it on cases, and say what went wrong on which input. Starts nothing, reads no file.

An `Exercise` holds its cases, the library's own answer, and known mistakes. A wrong answer that gives what a
known mistake gives on the cases it fails gets that mistake's hint; any other is told its first failing case:
the input, what came out, and the thought that is missing. The right answer is never shown.

    judge(exercise, answer) -> Passed | Failed | Todo
"""

from __future__ import annotations

import contextlib
import io
import math
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from types import FrameType, FunctionType
from typing import Any, Final

from lablib.errors import LabError

CASE_SECONDS: Final = 1.0
"""How long an answer may take on one case."""
HIDDEN_CASES: Final = 40
"""Random cases that a graded run adds."""
SHOWN_CHARACTERS: Final = 160
MOST_ITEMS: Final = 100_000
"""Of an answer that yields."""


@dataclass(frozen=True)
class Case:
    """One call of the answer."""

    arguments: tuple[Any, ...]
    given: str
    """The input in words: "a node with two GPUs, one of them unhealthy"."""
    idea: str
    """The thought that someone who fails this case is missing; never the answer."""


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer, and what to tell whoever gives it."""

    answer: Callable[..., Any]
    hint: str


@dataclass(frozen=True)
class Exercise:
    """All that judging one exercise needs."""

    number: str
    """Such as "1.2"."""
    reference: Callable[..., Any]
    """The library's own answer."""
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    hint: str
    stronger_hint: str
    success: Callable[[Mapping[str, Any]], str]
    """What a pass teaches; takes the learner's prediction, empty when there was none."""
    draw: Callable[[Random], tuple[Any, ...]]
    """Arguments of a random case, for grading."""
    off_limits: tuple[Callable[..., Any], ...] = ()
    """Functions of the library that do the exercise's work; the reference is always off limits."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.reference.__name__


@dataclass(frozen=True)
class Passed:
    """Right on every case."""

    cases: int
    message: str = ""


@dataclass(frozen=True)
class Failed:
    """Wrong on some case."""

    right: int
    cases: int
    message: str


@dataclass(frozen=True)
class Todo:
    """Not begun: it still raises NotImplementedError, or there is nothing of that name."""

    number: str


Verdict = Passed | Failed | Todo


class TimeLimit(BaseException):
    """The answer took too long. No Exception, so that an answer's own `except Exception` can't swallow it."""


class InputChanged(BaseException):
    """The answer changed what it was given."""


class LibraryUsed(BaseException):
    """The answer called the library's own solution."""


@dataclass(frozen=True)
class Outcome:
    """What came of one call."""

    value: Any = None
    error: BaseException | None = None

    def equals(self, wanted: Outcome) -> bool:
        """The value that is wanted, or the error: of its class, or of one that its class is a kind of."""
        if self.error is None and wanted.error is None:
            return same(self.value, wanted.value)
        kind = type(self.error)
        return kind not in (type(None), Exception, BaseException) and isinstance(wanted.error, kind)


def judge(exercise: Exercise, answer: object, prediction: Mapping[str, Any] | None = None) -> Verdict:
    """Judge an answer on the exercise's own cases."""
    return _judge(exercise, answer, exercise.cases, prediction or {})


def judge_hidden(exercise: Exercise, answer: object, seed: int) -> Verdict:
    """Judge an answer on the exercise's own cases and on random ones, as grading does."""
    random = Random(seed)  # noqa: S311 - cases, not secrets
    drawn = tuple(
        Case(exercise.draw(random), "an input that the notebook doesn't show", exercise.hint)
        for _ in range(HIDDEN_CASES)
    )
    return _judge(exercise, answer, (*exercise.cases, *drawn), {})


def _judge(
    exercise: Exercise, answer: object, cases: Sequence[Case], prediction: Mapping[str, Any]
) -> Verdict:
    if answer is None:
        return Todo(exercise.number)
    if not callable(answer):
        message = f"`{exercise.name}` is {shown(answer)}. Pass the function itself, without calling it."
        return Failed(0, len(cases), message)
    wanted = [call(exercise.reference, case.arguments) for case in cases]
    assert all(outcome.error is None or isinstance(outcome.error, LabError) for outcome in wanted)
    with off_limits(exercise.reference, *exercise.off_limits):
        got = list(_run(answer, cases))
    if all(isinstance(outcome.error, NotImplementedError) for outcome in got):
        return Todo(exercise.number)
    got += [Outcome(error=TimeLimit())] * (len(cases) - len(got))
    failing = [index for index, outcome in enumerate(got) if not outcome.equals(wanted[index])]
    if not failing:
        return Passed(len(cases), exercise.success(prediction))
    hint = _mistake(exercise, cases, got, failing) or _story(cases[failing[0]], got[failing[0]])
    return Failed(len(cases) - len(failing), len(cases), hint)


def _run(answer: Callable[..., Any], cases: Sequence[Case]) -> Iterator[Outcome]:
    """The outcome of each case; after one that took too long the rest is left out."""
    for case in cases:
        outcome = call(answer, case.arguments)
        yield outcome
        if isinstance(outcome.error, TimeLimit):
            return


def _mistake(
    exercise: Exercise, cases: Sequence[Case], got: Sequence[Outcome], failing: Sequence[int]
) -> str | None:
    """The hint of the known mistake that gives the same on every failing case, and on most others."""
    found: list[tuple[int, str]] = []
    for mistake in exercise.mistakes:
        made = [call(mistake.answer, case.arguments) for case in cases]
        alike = [index for index, outcome in enumerate(made) if got[index].equals(outcome)]
        if set(failing) <= set(alike):
            found.append((len(alike), mistake.hint))
    return max(found, key=lambda each: each[0])[1] if found else None


def _story(case: Case, outcome: Outcome) -> str:
    """What happened on one case, and the missing thought."""
    error = outcome.error
    if error is None:
        return f"For {case.given} you answered {shown(outcome.value)}. {case.idea}"
    if isinstance(error, TimeLimit):
        return f"For {case.given} your answer took more than {CASE_SECONDS:g} s. Does a loop never end?"
    if isinstance(error, InputChanged):
        return f"For {case.given} your answer changes what it is given. Others go on using it: make a copy."
    if isinstance(error, LibraryUsed):
        return "Your answer calls the library's own. Write it yourself: that is what earns the marks."
    return f"For {case.given} your answer raised {type(error).__name__}: {error}{_where(error)}. {case.idea}"


def _where(error: BaseException) -> str:
    """The line of the answer that an error came from; "" when it came from the call itself."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return f" (line {frames[0].lineno}: `{frames[0].line}`)" if frames else ""


def call(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    """One call, silent, and bounded in time where this is the main thread."""
    try:
        with time_limit(CASE_SECONDS), silence():
            before = repr(arguments)
            value = answer(*arguments)
            value = list(islice(value, MOST_ITEMS)) if isinstance(value, Iterator) else value
            return Outcome(value) if repr(arguments) == before else Outcome(error=InputChanged())
    except (Exception, TimeLimit, LibraryUsed, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its outcome
        return Outcome(error=error)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what is printed inside the block."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimit inside the block after that time; no limit outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def off_limits(*functions: Callable[..., Any]) -> Iterator[None]:
    """Make functions raise LibraryUsed, by whatever name and from wherever they are called."""
    plain = [function for function in functions if isinstance(function, FunctionType)]
    codes = [function.__code__ for function in plain]
    for function in plain:
        function.__code__ = _refuse.__code__
    try:
        yield
    finally:
        for function, code in zip(plain, codes, strict=True):
            function.__code__ = code


def _refuse(*_: object, **__: object) -> None:
    # The import is here since this code runs with another function's globals.
    from lablib.grading.checks import LibraryUsed

    raise LibraryUsed


def same(left: object, right: object) -> bool:
    """Equal as the labs mean it: floats within rounding, lists as tuples; no other class passes for ours."""
    if isinstance(left, bool) or isinstance(right, bool):
        return type(left) is type(right) and left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in right)
    return type(left) is type(right) and bool(left == right)


def shown(value: object) -> str:
    """A value, as short as a hint can bear."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a learner's own class may do anything
        text = f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return f"`{text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + ' …'}`"
