"""A picture that changes in place while a notebook's cell runs. Does I/O: writes to the notebook."""

from __future__ import annotations

import time
from typing import Any, Final

from IPython.display import display

SECONDS: Final = 0.2
"""Least time between two changes: an eye sees no more, and a browser has other work."""


class Live:
    """Show a value, then others in its place. What comes too soon is skipped, but the last is always shown.

    with Live() as live:
        live.show(map)
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = 0.0
        self._skipped: object = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        if self._skipped is not None:
            self._draw(self._skipped)

    def show(self, value: object) -> None:
        """Show this in place of what was shown."""
        if time.monotonic() - self._shown_at < SECONDS:
            self._skipped = value
        else:
            self._draw(value)

    def _draw(self, value: object) -> None:
        self._skipped, self._shown_at = None, time.monotonic()
        if self._handle is None:
            self._handle = display(value, display_id=True)
        else:
            self._handle.update(value)
