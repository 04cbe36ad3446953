"""Answers as plain data."""

import json
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import pytest

from lablib.grading.plain import plain, same, shown


class Chameleon:
    """Says that it is equal to everything."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class ChameleonNumber(int):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class ChameleonText(str):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


@dataclass(frozen=True)
class Point:
    x: float
    note: str = field(default="", compare=False)


@dataclass(frozen=True)
class Other:
    x: float


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (2, 1, False),
        (1, True, False),
        (True, True, True),
        ([1, 2], (1, 2), True),
        ([1, 2], (2, 1), False),
        ([1, [2]], (1, (2.0,)), True),
        ([1], [1, 2], False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}, True),
        ({"a": 1}, OrderedDict(a=1), True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 2}, False),
        ({1, 2}, frozenset({2, 1}), True),
        ({1, 2}, [1, 2], False),
        ("1", 1, False),
        (np.int64(3), 3, True),
        (np.float32(0.5), 0.5, True),
        (np.bool_(True), True, True),
        (np.array([1, 2]), [1, 2], True),
        (float("nan"), float("nan"), False),
        (float("nan"), 3, False),
        (float("inf"), float("inf"), True),
        pytest.param(10**400, 1.5, False, id="beyond every float"),
        pytest.param(10**5000, 10**5000, True, id="huge"),
        (Chameleon(), 4, False),
        (ChameleonNumber(5), 4, False),
        (ChameleonNumber(4), 4, True),
        (ChameleonText("x"), "y", False),
        (None, 0, False),
        (Point(1), Point(1.0, "else"), True),
        (Point(1), Point(2), False),
        (Point(1), Other(1), False),
        (Point(Chameleon()), Point(1), False),
    ],
)
def test_values_are_the_same_as_the_labs_mean_it(left, right, alike):
    crossed = [json.loads(json.dumps(plain(value))) for value in (left, right)]
    assert same(*crossed) is alike
    assert same(*reversed(crossed)) is alike


def test_what_has_no_end_is_cut():
    loop = []
    loop.append(loop)
    assert json.dumps(plain(loop))

    def forever():
        while True:
            yield 1

    assert len(plain(forever())["list"]) == 100_000


def test_a_long_value_is_cut_and_a_broken_one_is_named():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    assert len(shown("x" * 1000)) < 200
    assert shown(Broken()) == "`a Broken whose repr raises RuntimeError`"
