"""What a learner has done so far, kept in a file beside the notebook. Does I/O.

One file a lab, .progress.json: predictions, passed exercises, rows of the ledger. It is read anew at every
question and written in one step under a lock, so that two notebooks can use it at once and a learner who
comes back tomorrow goes on. A damaged file is kept aside, and said so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lablib.locks import exclusive

FILE = ".progress.json"


@dataclass(frozen=True)
class LedgerRow:
    """One claim of the article, and what became of it."""

    claim: str
    prediction: str
    measurement: str
    literature: str
    verdict: str
    """"holds", "holds only if ..." or "does not hold"."""


@dataclass(frozen=True)
class Progress:
    """All that is kept of one lab."""

    predictions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By exercise: what was predicted."""
    passed: tuple[str, ...] = ()
    """Exercises whose check has passed, in the order in which they first did."""
    hints: Mapping[str, int] = field(default_factory=dict)
    """By exercise: how many hints were asked for."""
    ledger: Mapping[str, LedgerRow] = field(default_factory=dict)
    """By claim."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """By exercise: how often its check failed."""

    def predict(self, number: str, values: Mapping[str, Any]) -> Progress:
        """With a prediction; a later one replaces it."""
        return replace(self, predictions={**self.predictions, number: dict(values)})

    def passing(self, number: str) -> Progress:
        """With a passed exercise."""
        return self if number in self.passed else replace(self, passed=(*self.passed, number))

    def failing(self, number: str) -> Progress:
        """With one failed check more."""
        return replace(self, failed={**self.failed, number: self.failed.get(number, 0) + 1})

    @property
    def hardest(self) -> str:
        """The exercise that took most failed checks and hints; empty when none took any."""
        numbers = self.failed.keys() | self.hints.keys()
        tries = {number: self.failed.get(number, 0) + self.hints.get(number, 0) for number in numbers}
        return max(sorted(tries), key=lambda number: tries[number], default="")

    def hinted(self, number: str) -> Progress:
        """With one hint more."""
        return replace(self, hints={**self.hints, number: self.hints.get(number, 0) + 1})

    def noting(self, row: LedgerRow) -> Progress:
        """With a row of the ledger; a claim has one row."""
        return replace(self, ledger={**self.ledger, row.claim: row})


_PROGRESS = TypeAdapter(Progress)


@dataclass(frozen=True)
class Store:
    """The progress file of one lab.

    Args:
        folder: where it lies; made at the first change.
        say: called with a line when the file was damaged.
    """

    folder: Path
    say: Callable[[str], None] = print

    def read(self) -> Progress:
        """What is kept; nothing at first."""
        path = self.folder / FILE
        try:
            return _PROGRESS.validate_json(path.read_bytes())
        except FileNotFoundError:
            return Progress()
        except (ValidationError, OSError):
            aside = path.with_name("progress.damaged.json")
            path.replace(aside)
            self.say(f"Your progress file was damaged. It is kept as {aside.name}; you begin a new one.")
            return Progress()

    def update(self, change: Callable[[Progress], Progress]) -> Progress:
        """Change what is kept; returns it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / ".progress.lock"):
            changed = change(self.read())
            partial = self.folder / f"{FILE}.partial"
            partial.write_text(json.dumps(asdict(changed), indent=1, default=str))
            partial.replace(self.folder / FILE)
        return changed
