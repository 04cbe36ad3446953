"""The block table of a KV cache as a picture: physical blocks in a grid, filled by whose they are. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from lablib.paging.blocks import BlockTable
from lablib.plots.svg import CHARACTER, patterns, picture, rectangle

CELL: Final = 34
COLUMNS: Final = 12


@dataclass(frozen=True)
class BlockPicture:
    """A block table that a notebook draws."""

    table: BlockTable

    def __repr__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        table = self.table
        rows = -(-table.blocks // COLUMNS)
        width, height = COLUMNS * CELL + 4, rows * CELL + 50
        headline = (
            f"{table.free} of {table.blocks - 1} blocks free, room for {table.wasted_tokens} tokens wasted"
        )
        inside = "".join([patterns(len(table.requests)), *self._cells(), *self._legend(rows * CELL + 30)])
        return picture((width, height), headline, str(table), inside)

    def _cells(self) -> Iterator[str]:
        owner = {
            block: (number, place, request)
            for number, request in enumerate(self.table.requests.values())
            for place, block in enumerate(request.blocks)
        }
        for block in range(self.table.blocks):
            x, y = block % COLUMNS * CELL + 2, block // COLUMNS * CELL + 24
            if block in owner:
                number, place, request = owner[block]
                filled = min(request.tokens - place * self.table.block_size, self.table.block_size)
                height = (CELL - 4) * filled / self.table.block_size
                place_on_page = (x, y + CELL - 4 - height, CELL - 4, height)
                yield rectangle(place_on_page, f"url(#lab-tenant-{number % 8})")
            outline = 'fill="none" stroke="currentColor" stroke-opacity="0.45"'
            yield f'<rect x="{x}" y="{y}" width="{CELL - 4}" height="{CELL - 4}" rx="3" {outline}/>'
            label = "vLLM" if block == 0 else str(block)
            yield f'<text x="{x + 3}" y="{y + 11}" style="font-size: 9px">{label}</text>'

    def _legend(self, y: float) -> Iterator[str]:
        x = 2.0
        for number, name in enumerate(self.table.requests):
            yield rectangle((x, y, 14, 14), f"url(#lab-tenant-{number % 8})")
            yield f'<text x="{x + 19:.0f}" y="{y + 11:.0f}">{escape(name)}</text>'
            x += 32 + CHARACTER * len(name)
