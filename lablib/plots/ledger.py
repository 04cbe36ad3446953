"""The ledger: what the article claims, what you expected, what you measured. Does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol

COLUMNS: Final = ("claim", "your prediction", "your measurement", "literature", "verdict")


class Row(Protocol):
    """One claim, in words."""

    @property
    def claim(self) -> str:
        """What the article says."""
        ...

    @property
    def prediction(self) -> str:
        """What the learner expected."""
        ...

    @property
    def measurement(self) -> str:
        """What the learner measured."""
        ...

    @property
    def literature(self) -> str:
        """What others have published."""
        ...

    @property
    def verdict(self) -> str:
        """Whether the claim holds."""
        ...


@dataclass(frozen=True)
class Ledger:
    """Rows as a table."""

    rows: Sequence[Row]

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="text-align: left">{column}</th>' for column in COLUMNS)
        body = "".join(
            "<tr>"
            + "".join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in cells(row))
            + "</tr>"
            for row in self.rows
        )
        return f"<table><caption>Ledger</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        lines = []
        for row in self.rows:
            lines += [f"{column}: {cell}" for column, cell in zip(COLUMNS, cells(row), strict=True)]
        return "\n".join(lines)


def cells(row: Row) -> tuple[str, ...]:
    """A row's texts, in the order of COLUMNS."""
    return (row.claim, row.prediction, row.measurement, row.literature, row.verdict)
