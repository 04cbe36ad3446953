"""Draw a cluster map as SVG: crisp at any size, and readable on a light or a dark page. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final

from lablib.plots.map import Box, ClusterMap, Row
from lablib.units import GPU_MILLI

BOX: Final = 16
"""Pixels of a box's side."""
STEP: Final = BOX + 3
ROW: Final = BOX + 4
MARGIN: Final = 14
HEADLINE: Final = 26
POOL_TITLE: Final = 20
CHARACTER: Final = 6.8
"""Width of a character of a node's name."""
TALLEST: Final = 17
"""Rows and pool titles of one column; the rest goes to the next."""
COLOURS: Final = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#8C6D31", "#5E4FA2", "#7F7F7F")
"""Okabe and Ito's, which differ for colour-blind eyes too; after eight tenants they repeat."""
HATCHES: Final = (
    "",
    "M0 6L6 0",
    "M0 3H6",
    "M3 0V6",
    "M0 0L6 6",
    "M1 1h2v2h-2z",
    "M0 6L6 0M0 0L6 6",
    "M0 3H6M3 0V6",
)
STRANDED: Final = "#D55E00"
HOT_CELSIUS: Final = 5.0
"""A GPU with less margin than this gets a hot outline."""


def draw(cluster: ClusterMap) -> str:
    """The map as an SVG element, with its content as text in <title> and <desc>."""
    columns = list(_columns(cluster.rows))
    widths = [_width(column) for column in columns]
    tallest = max((sum(_height(part) for part in column) for column in columns), default=0)
    width = int(sum(widths) + MARGIN * max(len(columns) - 1, 0))
    height = HEADLINE + tallest + ROW + 6
    body: list[str] = []
    left = 0.0
    for column, column_width in zip(columns, widths, strict=True):
        body.extend(_column(column, left, cluster.tenants))
        left += column_width + MARGIN
    return picture(
        (max(width, 480), height),
        cluster.headline,
        cluster.description(),
        f"{patterns(len(cluster.tenants))}{''.join(body)}{_legend(cluster, HEADLINE + tallest + 4)}",
    )


def picture(size: tuple[int, int], headline: str, description: str, inside: str) -> str:
    """An SVG element of a width and a height, with its headline on it and its content as text in it."""
    width, height = size
    style = f"width: 100%; max-width: {width}px; font: 11px system-ui, sans-serif; fill: currentColor"
    box = f'viewBox="0 0 {width} {height}" style="{style}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}>'
        f"<title>{escape(headline)}</title><desc>{escape(description)}</desc>"
        f'<text x="0" y="15" style="font-size: 14px; font-weight: 600">{escape(headline)}</text>'
        f"{inside}</svg>"
    )


Part = Row | str
"""A node, or the title of a pool."""


def _columns(rows: Sequence[Row]) -> Iterator[list[Part]]:
    """Nodes and pool titles, cut into columns; a pool that goes on in the next has its title again."""
    column: list[Part] = []
    for pool, members in groupby(rows, key=lambda row: row.pool):
        if len(column) > TALLEST - 3:
            yield column
            column = []
        column.append(pool or "no GPU")
        for row in members:
            if len(column) >= TALLEST:
                yield column
                column = [pool or "no GPU"]
            column.append(row)
    if column:
        yield column


def _height(part: Part) -> int:
    return POOL_TITLE if isinstance(part, str) else ROW


def _width(column: Sequence[Part]) -> float:
    rows = [part for part in column if isinstance(part, Row)]
    return _names(rows) + max((len(row.boxes) for row in rows), default=0) * STEP


def _names(rows: Sequence[Row]) -> float:
    return 8 + CHARACTER * max((len(row.name) for row in rows), default=0)


def _column(column: Sequence[Part], left: float, tenants: Sequence[str]) -> Iterator[str]:
    names = _names([part for part in column if isinstance(part, Row)])
    top = float(HEADLINE)
    for part in column:
        if isinstance(part, str):
            yield f'<text x="{left:.0f}" y="{top + 14:.0f}" style="font-weight: 600">{escape(part)}</text>'
        else:
            alert = f' fill="{STRANDED}"' if part.refused else ""
            yield f'<text x="{left:.0f}" y="{top + 12:.0f}"{alert}>{escape(part.name)}</text>'
            for number, box in enumerate(part.boxes):
                yield _box(box, left + names + number * STEP, top, tenants)
        top += _height(part)


def _box(box: Box, x: float, y: float, tenants: Sequence[str]) -> str:
    """A GPU: idle ground, then who holds it from the bottom up, then its outline."""
    hot = box.margin_celsius is not None and box.margin_celsius < HOT_CELSIUS
    outline = (
        f'stroke="{STRANDED}" stroke-width="2"' if hot else 'stroke="currentColor" stroke-opacity="0.45"'
    )
    ground = "url(#lab-stranded)" if box.stranded else "none"
    parts, bottom = [rectangle((x, y, BOX, BOX), ground)], y + BOX
    for piece in box.slices:
        height = BOX * piece.milli / GPU_MILLI
        bottom -= height
        fill = f"url(#lab-tenant-{tenants.index(piece.tenant) % 8})"
        tip = f"{piece.what}: {piece.milli / GPU_MILLI:g} GPU"
        parts.append(rectangle((x, bottom, BOX, height), fill, tip))
    parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{BOX}" height="{BOX}" rx="2" fill="none" {outline}/>')
    if not box.healthy:
        cross = f"M{x:.1f} {y:.1f}l{BOX} {BOX}m0 -{BOX}l-{BOX} {BOX}"
        parts.append(f'<path d="{cross}" stroke="{STRANDED}" stroke-width="2"/>')
    return "".join(parts)


def rectangle(where: tuple[float, float, float, float], fill: str, tip: str = "") -> str:
    """An SVG rectangle at x, y of a width and a height; `tip` shows when one points at it."""
    x, y, width, height = where
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {box} fill="{fill}">{inside}</rect>'


def patterns(tenants: int) -> str:
    """A fill for each tenant: colour and hatch. One for what is stranded."""
    fills = [
        _pattern(
            f"lab-tenant-{number}",
            6,
            f'<rect width="6" height="6" fill="{COLOURS[number]}"/><path d="{HATCHES[number]}" '
            'stroke="#fff" stroke-width="1" stroke-opacity="0.7" fill="none"/>',
        )
        for number in range(min(tenants, len(COLOURS)))
    ]
    lines = f'<path d="M0 4L4 0" stroke="{STRANDED}" stroke-width="1.2"/>'
    return f"<defs>{''.join(fills)}{_pattern('lab-stranded', 4, lines)}</defs>"


def _pattern(name: str, size: int, inside: str) -> str:
    box = f'width="{size}" height="{size}" patternUnits="userSpaceOnUse"'
    return f'<pattern id="{name}" {box}>{inside}</pattern>'


def _legend(cluster: ClusterMap, y: float) -> str:
    """What the fills mean; only those that occur."""
    boxes = [box for row in cluster.rows for box in row.boxes]
    entries = [(name, f"url(#lab-tenant-{number % 8})") for number, name in enumerate(cluster.tenants)]
    entries.append(("idle", "none"))
    if any(box.stranded for box in boxes):
        entries.append(("stranded: no pod that usually comes can use it", "url(#lab-stranded)"))
    parts, x = [], 0.0
    for name, fill in entries:
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX}" height="{BOX}" rx="2" fill="{fill}" '
            f'stroke="currentColor" stroke-opacity="0.45"/>'
            f'<text x="{x + BOX + 5:.0f}" y="{y + 12:.0f}">{escape(name)}</text>'
        )
        x += BOX + 18 + CHARACTER * len(name)
    return "".join(parts)
