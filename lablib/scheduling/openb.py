"""The openb trace from its files. Does I/O.

Alibaba published it with "Beware of Fragmentation" (USENIX ATC 2023); LAB_TRACE_DIR names a folder of yours
that holds it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from lablib.errors import TraceError
from lablib.gpu.device import Node
from lablib.scheduling.model import Demand
from lablib.scheduling.trace import Trace, TracePod, generate, trace_node
from lablib.units import GPU_MILLI

NODE_FILE: Final = "openb_node_list_gpu_node.csv"
POD_FILE: Final = "openb_pod_list_default.csv"
MOST_GPUS: Final = 8


def load(folder: Path, pod_file: str = POD_FILE) -> Trace:
    """The openb trace in a folder.

    Raises:
        TraceError: a file is missing or damaged: with file, row, column, value and what was expected.
    """
    nodes = tuple(_node(row) for row in _rows(folder / NODE_FILE))
    models = frozenset(node.model for node in nodes)
    pods = (_pod(row, models) for row in _rows(folder / pod_file))
    return Trace(
        _unique(nodes, folder / NODE_FILE),
        tuple(sorted(_unique(tuple(pods), folder / pod_file), key=lambda pod: pod.created_seconds)),
    )


def open_trace(
    random: np.random.Generator, nodes: int, load_share: float, folder: Path | None = None
) -> Trace:
    """A trace of so many nodes: drawn from openb where there is a folder with it, else generated.

    Args:
        random: where chance comes from.
        nodes: how many.
        load_share: pods come until they ask for this share of all GPUs.
        folder: with the trace's files; Settings().trace_dir names the user's.

    Raises:
        TraceError: the trace that is named is damaged.
    """
    return (
        generate(random, nodes, load_share)
        if folder is None
        else sample(random, load(folder), nodes, load_share)
    )


def sample(random: np.random.Generator, trace: Trace, nodes: int, load_share: float) -> Trace:
    """Some nodes of a trace, and its pods in an order of chance until they ask for enough."""
    chosen = random.choice(len(trace.nodes), size=min(nodes, len(trace.nodes)), replace=False)
    part = Trace(tuple(trace.nodes[index] for index in sorted(chosen)), ())
    pods, asked = [], 0
    for place, index in enumerate(random.permutation(len(trace.pods))):
        if asked >= load_share * part.capacity_milli:
            break
        pods.append(replace(trace.pods[index], created_seconds=float(place), deleted_seconds=None))
        asked += pods[-1].demand.total_gpu_milli
    return replace(part, pods=tuple(pods))


@dataclass(frozen=True)
class _Row:
    """One row of a file, that can complain."""

    path: Path
    number: int
    """Line of the file, from 1."""
    cells: Mapping[str, str | None]

    def text(self, column: str) -> str:
        """A cell that may be empty."""
        if column not in self.cells:
            raise TraceError(f"The column {column} is missing", where=str(self.path), remedy=_EXPECTED)
        value = self.cells[column]
        if value is None:
            raise self.refusal(column, "nothing: the row ends before it", "a value")
        return value.strip()

    def number_in(self, column: str, least: int, most: float = float("inf")) -> int:
        """A whole number."""
        text = self.text(column)
        value = int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdecimal() else None
        if value is None or not least <= value <= most:
            limit = f"{least} or more" if most == float("inf") else f"{least} to {most}"
            raise self.refusal(column, repr(text), f"a whole number, {limit}")
        return value

    def refusal(self, column: str, value: str, expected: str) -> TraceError:
        """What is wrong with a cell."""
        return TraceError(
            f"{column} is {value}; expected {expected}",
            where=f"{self.path}, row {self.number}, column {column}",
            remedy=_EXPECTED,
        )


_EXPECTED: Final = "Take a fresh copy of the trace's file"


def _rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for cells in reader:
                if None in cells:
                    raise TraceError(
                        f"A row has {len(cells[None])} cells too many",
                        where=f"{path}, row {reader.line_num}",
                        remedy=_EXPECTED,
                    )
                yield _Row(path, reader.line_num, cells)
            if reader.line_num < 2:
                raise TraceError("The file has no rows", where=str(path), remedy=_EXPECTED)
    except OSError as error:
        raise TraceError(
            f"The trace can't be read: {error.strerror}",
            where=str(path),
            remedy="Name the folder that holds it: LAB_TRACE_DIR",
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"The file is not text: {error}", where=str(path), remedy=_EXPECTED) from error


def _node(row: _Row) -> Node:
    return trace_node(
        row.text("sn"),
        row.number_in("cpu_milli", 1),
        row.number_in("memory_mib", 1),
        row.number_in("gpu", 0, 16),
        row.text("model"),
    )


def _pod(row: _Row, models: frozenset[str]) -> TracePod:
    gpus = row.number_in("num_gpu", 0, MOST_GPUS)
    gpu_milli = row.number_in("gpu_milli", 1 if gpus else 0, GPU_MILLI if gpus else 0)
    wanted = frozenset(filter(None, row.text("gpu_spec").split("|")))
    if wanted - models:
        unknown = min(wanted - models)
        raise row.refusal("gpu_spec", repr(unknown), f"models that a node has: {', '.join(sorted(models))}")
    demand = Demand(
        row.number_in("cpu_milli", 0), row.number_in("memory_mib", 0), gpus, gpu_milli, gpu_models=wanted
    )
    created = row.number_in("creation_time", 0)
    deleted = row.number_in("deletion_time", created) if row.text("deletion_time") else None
    return TracePod(row.text("name"), demand, float(created), None if deleted is None else float(deleted))


Named = TypeVar("Named", Node, TracePod)


def _unique(entries: tuple[Named, ...], path: Path) -> tuple[Named, ...]:
    seen: set[str] = set()
    for entry in entries:
        if not entry.name or entry.name in seen:
            raise TraceError(
                f"The name {entry.name!r} is there twice or empty", where=str(path), remedy=_EXPECTED
            )
        seen.add(entry.name)
    return entries
