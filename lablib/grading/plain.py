"""Answers as plain data, so that they can leave the process that made them. Does no I/O.

    None, bool, int, float, str     themselves; NumPy's numbers become Python's
    {"list": [...]}                 lists, tuples and arrays
    {"map": [[key, value], ...]}    dictionaries, sorted by key
    {"set": [...]}                  sets, sorted
    {"object": [class, fields]}     a dataclass: its full name, and [name, value] of what it is compared by
    {"other": [class, text]}        anything else; equal to nothing but the same text

What is compared is this data and never the objects themselves, so that no `__eq__` of an answer is called by
whoever gives marks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any, Final

Plain = None | bool | int | float | str | dict[str, Any]

MOST_ITEMS: Final = 100_000
"""Of any one container."""
MOST_DEPTH: Final = 30
MOST_BITS: Final = 4096
"""Of an integer; JSON's reader takes a little more."""
MOST_CHARACTERS: Final = 100_000
TOLERANCE: Final = 1e-9
"""Relative and absolute, between numbers."""


def plain(value: object, depth: int = MOST_DEPTH) -> Plain:
    """A value as plain data."""
    if value is None or isinstance(value, bool | str | int | float):
        return _scalar(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist(), depth)
    if depth == 0:
        return _other(value)
    return _container(value, depth - 1)


def _container(value: object, depth: int) -> Plain:
    if isinstance(value, list | tuple | Iterator):
        return {"list": [plain(each, depth) for each in islice(value, MOST_ITEMS)]}
    if isinstance(value, Mapping):
        pairs = [[plain(key, depth), plain(value[key], depth)] for key in islice(value, MOST_ITEMS)]
        return {"map": sorted(pairs, key=json.dumps)}
    if isinstance(value, Set):
        return {"set": sorted((plain(each, depth) for each in islice(value, MOST_ITEMS)), key=json.dumps)}
    if is_dataclass(value) and not isinstance(value, type):
        compared = [each.name for each in fields(value) if each.compare]
        content = [[name, plain(getattr(value, name), depth)] for name in compared]
        return {"object": [full_name(type(value)), content]}
    return _other(value)


def _scalar(value: bool | float | str | None) -> Plain:
    """As a value of exactly Python's own class, whatever class of its own it had."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)[:MOST_CHARACTERS]
    if isinstance(value, int):
        number = int.__add__(value, 0)
        return number if number.bit_length() <= MOST_BITS else {"other": ["builtins.int", "a huge number"]}
    return float.__add__(value, 0.0)


def _other(value: object) -> Plain:
    return {"other": [full_name(type(value)), shown(value)]}


def full_name(kind: type) -> str:
    """A class's module and name."""
    return f"{kind.__module__}.{kind.__qualname__}"


def shown(value: object, characters: int = 160) -> str:
    """A value, as short as a hint can bear."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a learner's own class may do anything
        text = f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return f"`{text if len(text) <= characters else text[:characters] + ' …'}`"


def same(left: Plain, right: Plain) -> bool:
    """Equal as the labs mean it: numbers within rounding, truth values as such, order where there is one."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_alike(left[kind], right[kind]) for kind in left)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right or _close(left, right)
    return type(left) is type(right) and left == right


def _close(left: float, right: float) -> bool:
    try:
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    except OverflowError:  # an integer beyond every float
        return False


def _alike(left: object, right: object) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_alike, left, right))
    return same(left, right)  # type: ignore[arg-type] # plain data, or it is not the same
