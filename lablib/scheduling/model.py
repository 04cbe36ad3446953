"""The scheduler's values: what a pod asks, what a node has left, what was decided. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from lablib.gpu.device import NO_LABELS, Node
from lablib.units import GPU_MILLI

PENDING: Final = "Pending"
RUNNING: Final = "Running"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"


@dataclass(frozen=True)
class Pod:
    """What a scheduler reads of a pod. The API object it comes from: cluster/convert.py."""

    name: str
    namespace: str = "default"
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    annotations: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    cpu_milli: int = 0
    """Requested, summed over containers."""
    memory_mib: int = 0
    """Requested, summed over containers, rounded up."""
    resources: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Extended resources asked for, summed over containers: {"nvidia.com/gpu": 2}."""
    node_selector: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    gpu_models: frozenset[str] = frozenset()
    """GPU models that its node selector or required node affinity allows; empty means any."""
    scheduler_name: str = "default-scheduler"
    priority: int = 0
    node: str | None = None
    """Where it is bound; None while it waits."""
    phase: str = PENDING
    reason: str = ""
    """Why it waits or failed, in the scheduler's or kubelet's words."""
    deleting: bool = False
    created_seconds: float = 0.0
    """Unix time."""

    @property
    def holds_resources(self) -> bool:
        """True from binding until the pod has ended."""
        return self.node is not None and self.phase in (PENDING, RUNNING)


@dataclass(frozen=True)
class Demand:
    """What one pod asks of one node, whatever notation it was written in."""

    cpu_milli: int = 0
    memory_mib: int = 0
    gpus: int = 0
    """How many GPUs; each gives the same share."""
    gpu_milli: int = 0
    """Of each GPU: 1000 is a whole one. 0 when it asks for GPU memory only, or for no GPU."""
    gpu_memory_mib: int = 0
    """Of each GPU; 0 means no memory request of its own (a whole GPU has it all)."""
    gpu_models: frozenset[str] = frozenset()
    """Models it may run on; empty means any."""

    @property
    def total_gpu_milli(self) -> int:
        """GPU-milli over all its GPUs."""
        return self.gpus * self.gpu_milli


@dataclass(frozen=True)
class NodeState:
    """A node and what is left of it."""

    node: Node
    cpu_milli_free: int
    memory_mib_free: int
    gpu_milli_free: tuple[int, ...]
    """By GPU index, 0-1000; 0 for an unhealthy one."""
    gpu_memory_mib_free: tuple[int, ...] = ()
    """By GPU index; empty when memory is not tracked."""

    @property
    def total_gpu_milli_free(self) -> int:
        """Idle GPU-milli of the node."""
        return sum(self.gpu_milli_free)

    @classmethod
    def empty(cls, node: Node) -> NodeState:
        """The node with nothing on it."""
        return cls(
            node,
            node.cpu_milli,
            node.memory_mib,
            tuple(GPU_MILLI if gpu.healthy else 0 for gpu in node.gpus),
            tuple(gpu.memory_mib if gpu.healthy else 0 for gpu in node.gpus),
        )


@dataclass(frozen=True)
class Snapshot:
    """All nodes at one moment, in a fixed order: ties in a decision go to the first."""

    nodes: tuple[NodeState, ...]


@dataclass(frozen=True)
class Place:
    """Run the pod here, on these GPUs."""

    node: str
    gpus: tuple[int, ...] = ()
    """Indices, ascending."""
    score: float = 0.0


@dataclass(frozen=True)
class Reject:
    """Run the pod nowhere for now."""

    reasons: Mapping[str, int]
    """Why, and for how many nodes: {"lacks CPU": 41, "GPU model differs": 12}."""
