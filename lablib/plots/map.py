"""The cluster map: nodes as rows, GPUs as boxes filled by what runs on them. Does no I/O.

A box is a GPU and is drawn to scale: a pod that holds half of it fills half. Tenants differ by colour and by
hatch, so that the map can be read without colours. What is idle is empty; idle and of use to nobody who
usually comes is hatched; an unhealthy GPU is crossed out. Every map carries its content as text, and
`as_text` draws it for a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from lablib.plots.svg import CHARACTER, STRANDED, patterns, picture, rectangle
from lablib.scheduling.fragmentation import TypicalPod
from lablib.scheduling.report import Assignment, Holding, stranded_gpus
from lablib.units import GPU_MILLI

BOX: Final = 16
"""Pixels of a box's side."""
STEP: Final = BOX + 3
ROW: Final = BOX + 4
MARGIN: Final = 14
HEADLINE: Final = 26
POOL_TITLE: Final = 20
TALLEST: Final = 17
"""Rows and pool titles of one column; the rest goes to the next."""
HOT_CELSIUS: Final = 5.0
"""A GPU with less margin than this gets a hot outline."""
SHARE_KINDS: Final = ("shared GPU", "whole GPU")
LEVELS: Final = "·▁▂▃▄▅▆▇█"
"""How full a GPU is, for a terminal."""


@dataclass(frozen=True)
class Slice:
    """Part of a GPU that somebody holds."""

    tenant: str
    milli: int
    what: str
    """The pod's name."""


@dataclass(frozen=True)
class Box:
    """One GPU."""

    slices: tuple[Slice, ...] = ()
    stranded: bool = False
    """What is idle of it is of use to no typical pod."""
    healthy: bool = True
    margin_celsius: float | None = None
    """Degrees left before it slows down, where known; drawn as the outline."""

    @property
    def milli(self) -> int:
        """GPU-milli that are held."""
        return sum(each.milli for each in self.slices)


@dataclass(frozen=True)
class Row:
    """One node."""

    name: str
    pool: str
    """GPU model."""
    boxes: tuple[Box, ...]
    refused: int = 0
    """Pods that the scheduler sent here and that no GPU fits."""


@dataclass(frozen=True)
class ClusterMap:
    """A map; a notebook draws it, `as_text` writes it."""

    rows: tuple[Row, ...]
    tenants: tuple[str, ...]
    waiting: int = 0
    """Pods that wait."""

    @property
    def headline(self) -> str:
        """The map in one line."""
        boxes = [box for row in self.rows for box in row.boxes]
        capacity = sum(box.healthy for box in boxes)
        allocated = sum(box.milli for box in boxes) / GPU_MILLI
        stranded = sum(GPU_MILLI - box.milli for box in boxes if box.stranded and box.healthy) / GPU_MILLI
        parts = [f"{round(allocated, 1):g} of {capacity} GPUs allocated"]
        if stranded:
            parts.append(f"{stranded:.1f} stranded")
        if refused := sum(row.refused for row in self.rows):
            parts.append(f"{refused} pods refused by their node")
        if self.waiting:
            parts.append(f"{self.waiting} pods wait")
        if broken := len(boxes) - capacity:
            parts.append(f"{broken} unhealthy")
        return ", ".join(parts)

    def description(self) -> str:
        """The map in words: how full each pool is."""
        lines = []
        for pool, rows in groupby(self.rows, key=lambda row: row.pool):
            boxes = [box for row in rows for box in row.boxes]
            full = Counter(LEVELS[_level(box)] for box in boxes)
            lines.append(
                f"{pool or 'no GPU'}: {len(boxes)} GPUs, {full[LEVELS[-1]]} full, {full[LEVELS[0]]} empty, "
                f"{sum(box.stranded for box in boxes)} with stranded rest."
            )
        return " ".join(lines)

    def as_text(self) -> str:
        """The map for a terminal: a character a GPU, from · (empty) to █ (full), × when unhealthy."""
        width = max((len(row.name) for row in self.rows), default=0)
        lines = [self.headline]
        for row in self.rows:
            boxes = "".join(LEVELS[_level(box)] if box.healthy else "×" for box in row.boxes)
            lines.append(f"{row.name:<{width}} {boxes}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return draw(self)


def _level(box: Box) -> int:
    """0 for an empty GPU, the last of LEVELS for a full one only."""
    if not box.milli:
        return 0
    return max(1, min(len(LEVELS) - 1, box.milli * (len(LEVELS) - 1) // GPU_MILLI))


def share_kind(holding: Holding) -> str:
    """Tenants of a map that tells whole GPUs from shared ones."""
    return SHARE_KINDS[holding.demand.gpu_milli == GPU_MILLI]


def cluster_map(
    assignment: Assignment,
    typical: Sequence[TypicalPod] = (),
    *,
    tenant: Callable[[Holding], str] = share_kind,
    waiting: int = 0,
    margins: Mapping[tuple[str, int], float] | None = None,
) -> ClusterMap:
    """The map of who holds what.

    Args:
        assignment: as report.assign gives it.
        typical: pods that usually come; without them nothing counts as stranded.
        tenant: what a pod is coloured by.
        waiting: how many pods wait.
        margins: by node and GPU index, degrees Celsius left before it slows down.
    """
    held = _held(assignment, tenant)
    refused = Counter(holding.pod.node for holding in assignment.holdings if holding.refused)
    states = sorted(assignment.snapshot.nodes, key=lambda state: (state.node.model, state.node.name))
    rows = []
    for state in states:
        node = state.node
        stranded = stranded_gpus(state, typical) if typical else frozenset()
        boxes = tuple(
            Box(
                tuple(held.get((node.name, gpu.index), ())),
                gpu.index in stranded,
                gpu.healthy,
                (margins or {}).get((node.name, gpu.index)),
            )
            for gpu in node.gpus
        )
        rows.append(Row(node.name, node.model, boxes, refused[node.name]))
    tenants = {piece.tenant for pieces in held.values() for piece in pieces}
    # Kinds keep their colours from one map to the next, also where only one of them is there.
    shown = SHARE_KINDS if tenants and tenants <= set(SHARE_KINDS) else tuple(sorted(tenants))
    return ClusterMap(tuple(rows), shown, waiting)


def _held(assignment: Assignment, tenant: Callable[[Holding], str]) -> dict[tuple[str, int], list[Slice]]:
    """By node and GPU index: who holds how much."""
    held: dict[tuple[str, int], list[Slice]] = {}
    for holding in assignment.holdings:
        for index in holding.gpus:
            piece = Slice(tenant(holding), holding.demand.gpu_milli, holding.pod.name)
            held.setdefault((holding.pod.node or "", index), []).append(piece)
    return held


# Drawn


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
