"""Time as an argument: nothing pure reads the wall clock.

`SystemClock` is the machine's; `ManualClock` moves only when it is told to and keeps the same
promises, so that a test of ten minutes takes no time.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A clock that never goes back."""

    def now(self) -> float:
        """Seconds since an origin that stays the same for this clock's life."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return once `now()` has grown by at least `seconds`; at once when it is not positive."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since an arbitrary origin."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`."""
        time.sleep(max(seconds, 0.0))


class ManualClock:
    """A clock that stands still until somebody sleeps on it."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        """Seconds since 0."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the time; returns at once."""
        self._now += max(seconds, 0.0)
