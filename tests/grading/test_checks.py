"""Judging an answer."""

import threading
from dataclasses import replace

import pytest

from lablib.errors import LabError
from lablib.grading.attempts import Outcome
from lablib.grading.checks import (
    Case,
    Exercise,
    Failed,
    Mistake,
    Passed,
    Todo,
    judge,
    judge_hidden,
    verdict,
)


def double(number):
    if number < 0:
        raise LabError("negative")
    return 2 * number


EXERCISE = Exercise(
    "1.1",
    double,
    (
        Case((1,), "the number 1", "Twice one is not one."),
        Case((3,), "the number 3", "Think of two of them."),
        Case((-1,), "the number -1", "There is no such thing: raise."),
    ),
    (
        Mistake(lambda number: number * number, "You square."),
        Mistake(lambda number: number + 1, "You add one."),
    ),
    "hint",
    "stronger hint",
    lambda prediction: f"predicted {prediction}",
    lambda random: (random.randint(0, 100),),
)


def right(number):
    if number < 0:
        raise LabError("no")
    return number + number


def test_a_right_answer_passes_and_hears_its_prediction():
    assert judge(EXERCISE, right, {"n": 2}) == Passed(3, "predicted {'n': 2}")


def test_an_error_must_be_of_the_kind_that_is_wanted():
    def raises(error):
        def answer(number):
            if number < 0:
                raise error
            return 2 * number

        return answer

    assert isinstance(judge(EXERCISE, raises(LabError("x"))), Passed)
    for error in (KeyError("x"), Exception("x"), SystemExit()):
        assert isinstance(judge(EXERCISE, raises(error)), Failed)


def test_the_mistake_that_explains_most_is_named():
    assert judge(EXERCISE, lambda number: number * number) == Failed(0, 3, "You square.")
    # On 1 and 3 both give another number; only 1 + 1 is right by chance.
    assert judge(EXERCISE, lambda number: number + 1) == Failed(1, 3, "You add one.")


def test_an_unknown_mistake_is_shown_its_first_case():
    verdict = judge(EXERCISE, lambda number: 7)
    assert verdict == Failed(0, 3, "For the number 1 you answered `7`. Twice one is not one.")


def test_an_error_is_shown_with_its_line():
    def answer(number):
        return number.no_such_thing

    verdict = judge(EXERCISE, answer)
    assert verdict.right == 0
    assert "raised AttributeError" in verdict.message
    assert "`return number.no_such_thing`" in verdict.message


def test_an_answer_that_changes_its_input_is_told_so():
    exercise = replace(
        EXERCISE, reference=len, cases=(Case(([1, 2],), "two numbers", "Count."),), mistakes=()
    )

    def clears(numbers):
        count = len(numbers)
        numbers.clear()
        return count

    assert "changes what it is given" in judge(exercise, clears).message


def test_the_librarys_own_answer_is_refused_however_it_is_reached():
    alias = double
    for answer in (double, lambda number: alias(number) + 0, lambda number: 1 * EXERCISE.reference(number)):
        assert "calls the library's own" in judge(EXERCISE, answer).message
    assert double(2) == 4


def test_a_generator_counts_as_what_it_yields():
    exercise = replace(
        EXERCISE, reference=lambda n: tuple(range(n)), cases=(Case((3,), "3", "."),), mistakes=()
    )
    assert isinstance(judge(exercise, lambda n: (each for each in range(n))), Passed)


@pytest.mark.parametrize("answer", ["text", 7, [], {}])
def test_something_that_is_no_function_is_named(answer):
    assert "Pass the function itself" in judge(EXERCISE, answer).message


def test_nothing_is_todo():
    def untouched(number):
        raise NotImplementedError("your turn: 1.1")

    assert judge(EXERCISE, untouched) == judge(EXERCISE, None) == Todo("1.1")


def test_half_a_solution_is_not_todo():
    def half(number):
        if number == 3:
            raise NotImplementedError
        return 2 * number

    assert isinstance(judge(EXERCISE, half), Failed)


def test_hidden_cases_find_who_learned_the_shown_ones_by_heart():
    def by_heart(number):
        return {1: 2, 3: 6}[number] if number > 0 else right(number)

    assert isinstance(judge(EXERCISE, by_heart), Passed)
    assert isinstance(judge_hidden(EXERCISE, by_heart, seed=1), Failed)
    assert isinstance(judge_hidden(EXERCISE, right, seed=1), Passed)


def test_outside_the_main_thread_there_is_no_time_limit_and_a_verdict_all_the_same():
    found = []
    thread = threading.Thread(target=lambda: found.append(judge(EXERCISE, right)))
    thread.start()
    thread.join()
    assert isinstance(found[0], Passed)


def test_a_verdict_needs_outcomes_only():
    outcomes = [Outcome(2), Outcome(6), Outcome(kinds=("lablib.errors.LabError",))]
    assert verdict(EXERCISE, EXERCISE.cases, outcomes) == Passed(3, "predicted {}")
    late = verdict(EXERCISE, EXERCISE.cases, outcomes[:2])
    assert late.right == 2
    assert "took more than 1 s" in late.message
