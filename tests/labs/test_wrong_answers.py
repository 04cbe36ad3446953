"""Wrong answers lose marks, and are told what is wrong with them."""

import pytest

from lablib.grading.build import sources
from lablib.grading.cases import exercises
from lablib.grading.checks import Failed, judge, judge_hidden
from tests.labs.wrong_answers import HOSTILE, WRONG

EXERCISES = {
    (source.stem, number): exercise
    for source in sources()
    for number, exercise in exercises(source.stem).items()
}
PAIRS = [
    pytest.param(key, answer, words, id=f"{key[0][:2]}-{key[1]}-{answer.__name__}")
    for key in EXERCISES
    for answer, words in WRONG.get(key, {}).items()
]


@pytest.mark.parametrize("key", EXERCISES)
def test_every_exercise_has_three_wrong_answers(key):
    assert len(WRONG[key]) >= 3


@pytest.mark.parametrize(("key", "answer", "words"), PAIRS)
def test_a_wrong_answer_fails_and_is_told_why(key, answer, words):
    verdict = judge(EXERCISES[key], answer)
    assert isinstance(verdict, Failed)
    assert words in verdict.message
    assert isinstance(judge_hidden(EXERCISES[key], answer, seed=1), Failed)


@pytest.mark.parametrize("key", EXERCISES)
@pytest.mark.parametrize(("answer", "words"), HOSTILE.items())
def test_a_hostile_answer_fails_in_good_order(key, answer, words, capfd):
    verdict = judge(EXERCISES[key], answer)
    assert isinstance(verdict, Failed)
    assert words in verdict.message
    assert capfd.readouterr() == ("", "")
