"""The cluster map: nodes as rows, GPUs as boxes filled by what runs on them. Does no I/O.

A box is a GPU and is drawn to scale: a pod that holds half of it fills half. Tenants differ by colour and by
hatch, so that the map can be read without colours. What is idle is empty; idle and of use to nobody who
usually comes is hatched; an unhealthy GPU is crossed out. Every map carries its content as text, and
`as_text` draws it for a terminal. svg.py does the drawing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from lablib.scheduling.fragmentation import TypicalPod
from lablib.scheduling.report import Assignment, Holding, stranded_gpus
from lablib.units import GPU_MILLI

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
        parts = [f"{allocated:.1f} of {capacity} GPUs allocated"]
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
        from lablib.plots.svg import draw  # it draws these values

        return draw(self)


def _level(box: Box) -> int:
    """0 for an empty GPU, the last of LEVELS for a full one only."""
    if not box.milli:
        return 0
    return max(1, min(len(LEVELS) - 1, box.milli * (len(LEVELS) - 1) // GPU_MILLI))


def share_kind(holding: Holding) -> str:
    """Tenants of a map that tells whole GPUs from shared ones."""
    return "whole GPU" if holding.demand.gpu_milli == GPU_MILLI else "shared GPU"


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
    tenants = sorted({piece.tenant for pieces in held.values() for piece in pieces})
    return ClusterMap(tuple(rows), tuple(tenants), waiting)


def _held(assignment: Assignment, tenant: Callable[[Holding], str]) -> dict[tuple[str, int], list[Slice]]:
    """By node and GPU index: who holds how much."""
    held: dict[tuple[str, int], list[Slice]] = {}
    for holding in assignment.holdings:
        for index in holding.gpus:
            piece = Slice(tenant(holding), holding.demand.gpu_milli, holding.pod.name)
            held.setdefault((holding.pod.node or "", index), []).append(piece)
    return held
