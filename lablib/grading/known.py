"""What the answers that are known earn: none, the library's own, and the known mistakes. Starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lablib.grading.assignment import Assignment, points_for
from lablib.grading.attempts import attempt
from lablib.grading.checks import Exercise, Failed, Todo, Verdict, cases_with_hidden, verdict

SEED = "of the table of known answers"


@dataclass(frozen=True)
class Known:
    """One answer, and what it earns."""

    number: str
    answer: str
    """ "nothing", "the library's" or the mistake's name."""
    points: float
    most: float
    sentence: str
    as_it_should_be: bool


def answers(assignment: Assignment) -> Iterator[Known]:
    """Every known answer to every exercise of a lab."""
    for number, most in assignment.points.items():
        exercise = assignment.exercises[number]
        yield Known(number, "nothing", points_for(Todo(number), most), most, "", as_it_should_be=True)
        right = judged(exercise, exercise.reference)
        points = points_for(right, most)
        yield Known(number, "the library's", points, most, "", as_it_should_be=points == most)
        for mistake in exercise.mistakes:
            wrong = judged(exercise, mistake.answer)
            points, said = points_for(wrong, most), wrong.message if isinstance(wrong, Failed) else ""
            name = mistake.answer.__name__.strip("_").replace("_", " ")
            yield Known(
                number, name, points, most, said, as_it_should_be=points == 0 and said == mistake.hint
            )


def judged(exercise: Exercise, answer: Callable[..., Any]) -> Verdict:
    """The verdict on an answer that may be made from the library's."""
    cases = cases_with_hidden(exercise, SEED)
    return verdict(exercise, cases, [attempt(answer, case.arguments) for case in cases])
