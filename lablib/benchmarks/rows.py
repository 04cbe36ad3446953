"""What a benchmark reports: rows of a measurement, its peer and their ratio. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement beside the same of a named peer, taken in the same run."""

    what: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    goal: str | None = None
    """In words: "at most 1.2 times the peer"."""
    holds: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return None if not self.peer else self.ours / self.peer


def as_json(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows for a program; null where a field does not apply."""
    return [
        {
            "what": row.what,
            "unit": row.unit,
            "ours": row.ours,
            "peer": row.peer,
            "peer_name": row.peer_name,
            "ratio": row.ratio,
            "goal": row.goal,
            "holds": row.holds,
        }
        for row in rows
    ]
