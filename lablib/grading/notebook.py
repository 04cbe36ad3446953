"""What a lab's cells call: check, predict, ledger. Does I/O: keeps progress beside the notebook.

from lablib.grading.notebook import open_lab

check, predict, ledger = open_lab("01-gpus")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lablib.errors import GradingError
from lablib.grading.cases import exercises
from lablib.grading.checks import Exercise, Failed, Passed, judge, judge_hidden
from lablib.grading.plain import shown
from lablib.grading.progress import LedgerRow, Store
from lablib.grading.views import View, of_hint, of_verdict
from lablib.plots.ledger import Ledger
from lablib.settings import go_quiet

VERDICTS = ("holds", "holds only if", "does not hold")


def open_lab(name: str) -> tuple[Check, Predict, LedgerKeeper]:
    """`check`, `predict` and `ledger` of a lab such as "01-gpus"; progress is kept in the current folder."""
    go_quiet()
    known, store = exercises(name), Store(Path.cwd())
    stand_in(known)
    return Check(known, store), Predict(known, store), LedgerKeeper(store)


def stand_in(known: Mapping[str, Exercise]) -> None:
    """Give every function that is still to be written a name in the notebook.

    So that a cell which uses one says what is to be done, where its own cell has not been run.
    """
    from IPython import get_ipython

    shell = get_ipython()
    for exercise in known.values() if shell else ():
        shell.user_ns.setdefault(exercise.name, _not_yet(exercise))


def _not_yet(exercise: Exercise) -> Callable[..., Any]:
    def not_yet(*_: object, **__: object) -> None:
        raise NotImplementedError(f"your turn: {exercise.number}")

    return not_yet


class Check:
    """`check.e1_2(answer)` judges exercise 1.2."""

    def __init__(self, known: dict[str, Exercise], store: Store) -> None:
        self._known, self._store = known, store

    def __getattr__(self, name: str) -> Callable[[object], View]:
        number = name.removeprefix("e").replace("_", ".")
        if not name.startswith("e") or number not in self._known:
            raise AttributeError(f"There is no exercise {number}; there are {', '.join(self._known)}")
        return partial(self._judge, self._known[number])

    def __dir__(self) -> list[str]:
        return ["best", "hint", *(f"e{number.replace('.', '_')}" for number in self._known)]

    def _judge(self, exercise: Exercise, answer: object) -> View:
        prediction = self._store.read().predictions.get(exercise.number, {})
        verdict = judge(exercise, answer, prediction)
        if isinstance(verdict, Passed):
            self._store.update(lambda progress: progress.passing(exercise.number))
        elif isinstance(verdict, Failed):
            self._store.update(lambda progress: progress.failing(exercise.number))
        return of_verdict(verdict, exercise)

    def hint(self, number: str) -> View:
        """A hint; asked again, a stronger one."""
        exercise = _find(self._known, number)
        progress = self._store.update(lambda progress: progress.hinted(number))
        return of_hint(exercise, progress.hints[number])

    def best(self, number: str, answer: object) -> Callable[..., Any]:
        """The answer if it is right, else the library's own; then it says so."""
        exercise = _find(self._known, number)
        if callable(answer) and isinstance(judge(exercise, answer), Passed):
            return answer
        print(f"Exercise {number} isn't finished: our version of {exercise.name} does the work.")  # noqa: T201
        return exercise.reference


class Predict:
    """`predict("1.2", fits=3)` writes a prediction down."""

    def __init__(self, known: dict[str, Exercise], store: Store) -> None:
        self._known, self._store = known, store

    def __call__(self, number: str, **values: object) -> View:
        """Write down what you expect; a later prediction replaces it."""
        if not values or any(value is ... for value in values.values()):
            return View("…", f"*Your prediction for {number}, please:* put a number in place of the dots.")
        if not all(isinstance(value, int | float) for value in values.values()):
            return View(
                "…", f"*A number, please:* for {number} words can't be compared with what is measured."
            )
        self._store.update(lambda progress: progress.predict(number, values))
        noted = ", ".join(f"{name} = {shown(value)}" for name, value in values.items())
        return View("›", f"Written down: {noted}. Let us see.")


class LedgerKeeper:
    """`ledger(claim, ...)` notes what became of a claim, and shows the ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(
        self, claim: str, *, predicted: str, measurement: str, literature: str, verdict: str
    ) -> Ledger:
        """Write a row; one row a claim.

        Args:
            claim: what the article says.
            predicted: number of the exercise whose prediction belongs to it.
            measurement: what came out, in words.
            literature: what others have published.
            verdict: begins with one of VERDICTS.

        Raises:
            GradingError: it doesn't.
        """
        if not verdict.startswith(VERDICTS):
            raise GradingError(f"{verdict!r} is no verdict", remedy=f"Begin it with {' or '.join(VERDICTS)}")
        values = self._store.read().predictions.get(predicted, {})
        prediction = ", ".join(f"{name} {value}" for name, value in values.items()) or "none"
        row = LedgerRow(claim, prediction, measurement, literature, verdict)
        return Ledger(tuple(self._store.update(lambda progress: progress.noting(row)).ledger.values()))


def grade(lab: str, number: str, answer: object, points: float) -> float:
    """All points for an answer that is right on the shown cases and on the hidden ones, else 0."""
    verdict = judge_hidden(_find(exercises(lab), number), answer, seed=int(number.replace(".", "")))
    return points if isinstance(verdict, Passed) else 0.0


def _find(known: dict[str, Exercise], number: str) -> Exercise:
    if number not in known:
        raise GradingError(f"There is no exercise {number}", remedy=f"There are {', '.join(known)}")
    return known[number]
