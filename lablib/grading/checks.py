"""Judge an answer by what came of it on cases; say what went wrong on which input. Starts nothing.

An `Exercise` holds its cases, the library's own answer, and known mistakes. A wrong answer that gives what a
known mistake gives on the cases it fails gets that mistake's hint; any other is told its first failing case:
the input, what came out, and the thought that is missing. The right answer is never shown.

    judge(exercise, answer) -> Passed | Failed | Todo             `check`: calls the answer here
    verdict(exercise, cases, outcomes) -> Passed | Failed | Todo  grading: the answer was called elsewhere
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from lablib.errors import LabError
from lablib.grading.attempts import (
    CASE_SECONDS,
    InputChanged,
    LibraryUsed,
    Outcome,
    TimeLimit,
    attempt,
    attempt_all,
    off_limits,
)
from lablib.grading.plain import full_name, shown

HIDDEN_CASES: Final = 40
"""Random cases that a graded run adds."""
LIMIT: Final = Outcome(kinds=(full_name(TimeLimit),))


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

    @property
    def forbidden(self) -> tuple[Callable[..., Any], ...]:
        """What an answer may not call."""
        return (self.reference, *self.off_limits)


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


def judge(exercise: Exercise, answer: object, prediction: Mapping[str, Any] | None = None) -> Verdict:
    """Judge an answer on the exercise's own cases."""
    return _judge(exercise, answer, exercise.cases, prediction or {})


def judge_hidden(exercise: Exercise, answer: object, seed: int | str) -> Verdict:
    """Judge an answer on the exercise's own cases and on random ones."""
    return _judge(exercise, answer, cases_with_hidden(exercise, seed), {})


def cases_with_hidden(exercise: Exercise, seed: int | str) -> tuple[Case, ...]:
    """The exercise's own cases, then those that a seed draws."""
    random = Random(seed)  # noqa: S311 - cases, not secrets
    drawn = (
        Case(exercise.draw(random), "an input that the notebook doesn't show", exercise.hint)
        for _ in range(HIDDEN_CASES)
    )
    return (*exercise.cases, *drawn)


def _judge(
    exercise: Exercise, answer: object, cases: Sequence[Case], prediction: Mapping[str, Any]
) -> Verdict:
    if answer is None:
        return Todo(exercise.number)
    if not callable(answer):
        return not_callable(exercise, cases, shown(answer))
    with off_limits(exercise.forbidden):
        got = list(attempt_all(answer, [case.arguments for case in cases]))
    return verdict(exercise, cases, got, prediction)


def not_callable(exercise: Exercise, cases: Sequence[Case], what: str) -> Failed:
    """The verdict on something that is no function."""
    message = f"`{exercise.name}` is {what}. Pass the function itself, without calling it."
    return Failed(0, len(cases), message)


def verdict(
    exercise: Exercise,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    prediction: Mapping[str, Any] | None = None,
) -> Verdict:
    """Judge what came of an answer on cases; outcomes that are missing count as not in time."""
    wanted = [attempt(exercise.reference, case.arguments) for case in cases]
    assert all(not outcome.error or outcome.is_a(LabError) for outcome in wanted)
    if outcomes and all(outcome.is_a(NotImplementedError) for outcome in outcomes):
        return Todo(exercise.number)
    got = [*outcomes, *[LIMIT] * (len(cases) - len(outcomes))]
    failing = [index for index, outcome in enumerate(wanted) if not got[index].equals(outcome)]
    if not failing:
        return Passed(len(cases), exercise.success(prediction or {}))
    hint = _mistake(exercise, cases, got, failing) or _story(cases[failing[0]], got[failing[0]])
    return Failed(len(cases) - len(failing), len(cases), hint)


def _mistake(
    exercise: Exercise, cases: Sequence[Case], got: Sequence[Outcome], failing: Sequence[int]
) -> str | None:
    """The hint of the known mistake that gives the same on every failing case, and on most others."""
    found: list[tuple[int, str]] = []
    for mistake in exercise.mistakes:
        made = [attempt(mistake.answer, case.arguments) for case in cases]
        alike = [index for index, outcome in enumerate(made) if got[index].equals(outcome)]
        if set(failing) <= set(alike):
            found.append((len(alike), mistake.hint))
    return max(found, key=lambda each: each[0])[1] if found else None


def _story(case: Case, outcome: Outcome) -> str:
    """What happened on one case, and the missing thought."""
    if not outcome.error:
        return f"For {case.given} you answered {outcome.shown}. {case.idea}"
    if outcome.is_a(TimeLimit):
        return f"For {case.given} your answer took more than {CASE_SECONDS:g} s. Does a loop never end?"
    if outcome.is_a(InputChanged):
        return f"For {case.given} your answer changes what it is given. Others go on using it: make a copy."
    if outcome.is_a(LibraryUsed):
        return "Your answer calls the library's own. Write it yourself: that is what earns the marks."
    return f"For {case.given} your answer raised {outcome.shown}. {case.idea}"
