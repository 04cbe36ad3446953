"""GPUs and the nodes that hold them, as values. Does no I/O.

A `Node` is what the API server tells of a machine; its `gpus` are read from the labels that NVIDIA's
feature discovery sets and from what the device plugin reports (see cluster/convert.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Gpu:
    """One physical GPU of a node."""

    index: int
    """Its number on its node, from 0."""
    model: str
    """Short name: a key of `MODELS`, or whatever a trace calls it."""
    memory_mib: int
    healthy: bool = True
    """False once the device plugin has reported it unhealthy: it counts in capacity, not in allocatable."""


@dataclass(frozen=True)
class Taint:
    """Why pods that don't tolerate it stay away."""

    key: str
    effect: str
    value: str = ""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster: what it has, not what is free (that is scheduling.model.NodeState)."""

    name: str
    cpu_milli: int
    """Allocatable CPU."""
    memory_mib: int
    """Allocatable host memory."""
    gpus: tuple[Gpu, ...] = ()
    """By index; unhealthy ones included."""
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    resources: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Allocatable extended resources, such as nvidia.com/gpu, as the scheduler counts them."""
    taints: tuple[Taint, ...] = ()
    ready: bool = True
    unschedulable: bool = False
    """True once cordoned."""

    @property
    def model(self) -> str:
        """Model of its GPUs; empty when it has none. A node's GPUs are all of one model."""
        return self.gpus[0].model if self.gpus else ""
