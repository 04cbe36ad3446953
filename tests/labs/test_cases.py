"""Every exercise: its reference passes, and each known mistake loses marks and is told what it is."""

from dataclasses import replace

import pytest

from lablib.grading.build import sources
from lablib.grading.cases import exercises
from lablib.grading.attempts import attempt
from lablib.grading.checks import Failed, Passed, Todo, judge, judge_hidden, verdict

EXERCISES = [
    pytest.param(exercise, id=f"{source.stem[:2]}-{exercise.number}")
    for source in sources()
    for exercise in exercises(source.stem).values()
]
MISTAKES = [
    pytest.param(case.values[0], mistake, id=f"{case.id}-{mistake.answer.__name__}")
    for case in EXERCISES
    for mistake in case.values[0].mistakes
]


def stand_in(function):
    """The same function under another name and object, as a learner's would be."""
    return type(function)(function.__code__, function.__globals__, function.__name__, function.__defaults__)


@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("seed", range(5))
def test_the_reference_is_right_on_hidden_cases_too(exercise, seed):
    alone = replace(exercise, off_limits=())
    assert isinstance(judge_hidden(alone, stand_in(exercise.reference), seed), Passed)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_librarys_own_function_earns_nothing(exercise):
    judged = judge(exercise, exercise.reference)
    assert isinstance(judged, Failed)
    assert "calls the library's own" in judged.message


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_a_known_mistake_is_named(exercise, mistake):
    outcomes = [attempt(mistake.answer, case.arguments) for case in exercise.cases]
    judged = verdict(exercise, exercise.cases, outcomes)
    assert isinstance(judged, Failed)
    assert judged.message == mistake.hint


@pytest.mark.parametrize("exercise", EXERCISES)
def test_nothing_done_is_todo_and_no_marks(exercise):
    def untouched(*arguments):
        raise NotImplementedError

    assert judge(exercise, untouched) == Todo(exercise.number)
    assert judge(exercise, None) == Todo(exercise.number)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_hints_do_not_give_the_answer_away_and_differ(exercise):
    hints = [exercise.hint, exercise.stronger_hint, *(mistake.hint for mistake in exercise.mistakes)]
    assert len(set(hints)) == len(hints)
    assert len(exercise.mistakes) >= 3
    assert not any("return " in hint or "lambda" in hint for hint in hints)
