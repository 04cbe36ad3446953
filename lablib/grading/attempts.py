"""Call an answer on the inputs of its cases; what came of it is plain data. Starts nothing, reads no file.

This runs beside a learner's code: in the notebook for `check`, and in the sandbox for grading. It knows
inputs only. What is right is decided by checks.py, from the outcomes.
"""

from __future__ import annotations

import contextlib
import io
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import FrameType, FunctionType
from typing import Any, Final

from lablib.grading.plain import MOST_ITEMS, Plain, full_name, plain, same, shown

CASE_SECONDS: Final = 1.0
"""How long an answer may take on one case."""
TOO_GENERAL: Final = ("builtins.Exception", "builtins.BaseException", "builtins.object")
"""Raising one of these says nothing."""


class TimeLimit(BaseException):
    """The answer took too long. No Exception, so that an answer's own `except Exception` can't swallow it."""


class InputChanged(BaseException):
    """The answer changed what it was given."""


class LibraryUsed(BaseException):
    """The answer called the library's own solution."""


@dataclass(frozen=True)
class Outcome:
    """What came of one call, as plain data throughout."""

    value: Plain = None
    shown: str = ""
    """The value, or the error with its message and line: for a hint."""
    kinds: tuple[str, ...] = ()
    """Full name of the error's class, then of the classes it is a kind of; empty when there was none."""

    @property
    def error(self) -> str:
        """Full name of the error's class; empty when there was none."""
        return self.kinds[0] if self.kinds else ""

    def is_a(self, kind: type[BaseException]) -> bool:
        """True when it raised an error of that class."""
        return full_name(kind) in self.kinds

    def equals(self, wanted: Outcome) -> bool:
        """The value that is wanted, or the error: of its class, or of one that its class is a kind of."""
        if not self.kinds and not wanted.kinds:
            return same(self.value, wanted.value)
        return self.error not in TOO_GENERAL and self.error in wanted.kinds


def raised(error: BaseException) -> Outcome:
    """The outcome of a call that raised."""
    kinds = tuple(full_name(kind) for kind in type(error).__mro__)
    return Outcome(shown=f"{type(error).__name__}: {_message(error)}{_where(error)}", kinds=kinds)


def attempt_all(answer: Callable[..., Any], inputs: Iterable[Sequence[Any]]) -> Iterator[Outcome]:
    """The outcome of each call; after one that took too long the rest is left out."""
    for arguments in inputs:
        outcome = attempt(answer, arguments)
        yield outcome
        if outcome.is_a(TimeLimit):
            return


def attempt(answer: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
    """One call, silent, and bounded in time where this is the main thread."""
    try:
        with time_limit(CASE_SECONDS), silence():
            before = repr(arguments)
            value = answer(*arguments)
            value = list(islice(value, MOST_ITEMS)) if isinstance(value, Iterator) else value
            if repr(arguments) != before:
                return raised(InputChanged())
            return Outcome(plain(value), shown(value))
    except (Exception, TimeLimit, LibraryUsed, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its outcome
        return raised(error)


def _message(error: BaseException) -> str:
    try:
        return str(error)[:400]
    except Exception as again:  # noqa: BLE001 - a learner's own class may do anything
        return f"its text raises {type(again).__name__}"


def _where(error: BaseException) -> str:
    """The line of the answer that an error came from; "" when it came from the call itself."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return f" (line {frames[0].lineno}: `{frames[0].line}`)" if frames else ""


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
def off_limits(functions: Iterable[Callable[..., Any]]) -> Iterator[None]:
    """Make functions raise LibraryUsed, by whatever name and from wherever they are called."""
    plain_functions = {function: None for function in functions if isinstance(function, FunctionType)}
    codes = [function.__code__ for function in plain_functions]
    for function in plain_functions:
        function.__code__ = _refuse.__code__
    try:
        yield
    finally:
        for function, code in zip(plain_functions, codes, strict=True):
            function.__code__ = code


def _refuse(*_: object, **__: object) -> None:
    # The import is here since this code runs with another function's globals.
    from lablib.grading.attempts import LibraryUsed

    raise LibraryUsed
