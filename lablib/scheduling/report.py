"""Where the GPUs go: who holds which, what is used, what is stranded, and why pods wait. Does no I/O.

kube-scheduler counts, and leaves the choice of the device to the node. `assign` makes that choice as device
plugins do, in the order in which pods were made: a shared GPU goes to the fullest that still fits, a whole
one to the lowest that is free. A pod that the count let in and that no GPU fits is refused there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lablib.gpu.device import Node
from lablib.scheduling.demand import gpu_demand
from lablib.scheduling.feasibility import fitting_gpus, objection, objections
from lablib.scheduling.fragmentation import TypicalPod
from lablib.scheduling.model import PENDING, Demand, NodeState, Pod, Snapshot
from lablib.units import GPU_MILLI

GPU_INDEX: Final = "lab/gpu-index"
"""Annotation of a bound pod: the indices of its GPUs, where a scheduler has chosen them: "0,3"."""
UTILIZATION: Final = "lab/gpu-utilization"
"""Annotation of a pod: the share of its GPUs that it really uses, 0 to 1."""


@dataclass(frozen=True)
class Holding:
    """A bound pod and the GPUs that it holds."""

    pod: Pod
    demand: Demand
    gpus: tuple[int, ...]
    """Indices, ascending. Empty for a pod that asks for none, and for one that was refused."""

    @property
    def refused(self) -> bool:
        """True when the node counted enough and no GPU had enough."""
        return len(self.gpus) < self.demand.gpus


@dataclass(frozen=True)
class Assignment:
    """What is left of each node, and who holds what."""

    snapshot: Snapshot
    holdings: tuple[Holding, ...]


@dataclass(frozen=True)
class AllocationReport:
    """Where the GPUs of a cluster go, in GPU-milli."""

    capacity_milli: int
    """All healthy GPUs."""
    allocated_milli: int
    """Given to pods."""
    used_milli: float
    """What those pods really use of it."""
    stranded_milli: int
    """Idle, and none of the pods that usually come could use it where it is."""
    waiting: Mapping[str, Mapping[str, int]]
    """By name of each pod that waits: why, and for how many nodes."""

    @property
    def allocated(self) -> float:
        """Share of the capacity, 0 to 1."""
        return self.allocated_milli / self.capacity_milli if self.capacity_milli else 0.0

    @property
    def used(self) -> float:
        """Share of the capacity, 0 to 1."""
        return self.used_milli / self.capacity_milli if self.capacity_milli else 0.0

    @property
    def stranded(self) -> float:
        """Share of the capacity, 0 to 1."""
        return self.stranded_milli / self.capacity_milli if self.capacity_milli else 0.0

    def __str__(self) -> str:
        """Four lines for people."""
        lines = [
            f"{'capacity':>10} {self.capacity_milli / GPU_MILLI:7.1f} GPUs",
            f"{'allocated':>10} {self.allocated_milli / GPU_MILLI:7.1f} GPUs {self.allocated:6.1%}",
            f"{'used':>10} {self.used_milli / GPU_MILLI:7.1f} GPUs {self.used:6.1%}",
            f"{'stranded':>10} {self.stranded_milli / GPU_MILLI:7.1f} GPUs {self.stranded:6.1%}",
        ]
        for name, reasons in self.waiting.items():
            why = ", ".join(f"{reason} on {count} nodes" for reason, count in sorted(reasons.items()))
            lines.append(f"  {name} waits: {why or 'nothing speaks against it'}")
        return "\n".join(lines)


def assign(nodes: Iterable[Node], pods: Iterable[Pod]) -> Assignment:
    """Give every bound pod its GPUs, in the order in which the pods were made.

    Raises:
        DemandError: a pod's demand can't be read.
    """
    states = {node.name: NodeState.empty(node) for node in nodes}
    holdings = []
    for pod in sorted(pods, key=lambda pod: (pod.created_seconds, pod.namespace, pod.name)):
        if pod.holds_resources and pod.node in states:
            demand = gpu_demand(pod)
            gpus = _named(pod) or choose_gpus(states[pod.node], demand) or ()
            states[pod.node] = allocate(states[pod.node], demand, gpus)
            holdings.append(Holding(pod, demand, gpus))
    return Assignment(Snapshot(tuple(states.values())), tuple(holdings))


def _named(pod: Pod) -> tuple[int, ...]:
    words = pod.annotations.get(GPU_INDEX, "").split(",")
    return tuple(sorted(int(word) for word in words if word.strip().isdecimal()))


def choose_gpus(state: NodeState, demand: Demand) -> tuple[int, ...] | None:
    """The GPUs that a device plugin would give, ascending; None when too few fit."""
    fitting = fitting_gpus(state, demand)
    if len(fitting) < demand.gpus:
        return None
    fullest_first = sorted(fitting, key=lambda index: (state.gpu_milli_free[index], index))
    return tuple(sorted(fullest_first[: demand.gpus]))


def allocate(state: NodeState, demand: Demand, gpus: Sequence[int]) -> NodeState:
    """The node's state once the pod runs there on these GPUs."""
    return replace(
        state,
        cpu_milli_free=state.cpu_milli_free - demand.cpu_milli,
        memory_mib_free=state.memory_mib_free - demand.memory_mib,
        gpu_milli_free=_less(state.gpu_milli_free, demand.gpu_milli, gpus),
        gpu_memory_mib_free=_less(state.gpu_memory_mib_free, _memory_mib(state, demand), gpus),
    )


def _memory_mib(state: NodeState, demand: Demand) -> int:
    """Of each GPU: as asked; a share of a GPU takes the same share of its memory."""
    whole = state.node.gpus[0].memory_mib if state.node.gpus else 0
    return demand.gpu_memory_mib or whole * demand.gpu_milli // GPU_MILLI


def _less(free: Sequence[int], amount: int, gpus: Sequence[int]) -> tuple[int, ...]:
    return tuple(left - amount if index in gpus else left for index, left in enumerate(free))


def allocation_report(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    """Where the GPUs go.

    Args:
        assignment: what is left of each node, and who holds what.
        pods: all pods; those that wait are Pending and bound to no node.
        typical: the pods that usually come.
    """
    states = assignment.snapshot.nodes
    capacity = sum(GPU_MILLI for state in states for gpu in state.node.gpus if gpu.healthy)
    waiting = [pod for pod in pods if pod.phase == PENDING and pod.node is None]
    return AllocationReport(
        capacity_milli=capacity,
        allocated_milli=capacity - sum(state.total_gpu_milli_free for state in states),
        used_milli=sum(map(_used_milli, assignment.holdings)),
        stranded_milli=sum(stranded_milli(state, typical) for state in states),
        waiting={pod.name: dict(objections(states, gpu_demand(pod))) for pod in waiting},
    )


def _used_milli(holding: Holding) -> float:
    if holding.refused:
        return 0.0
    return holding.demand.total_gpu_milli * float(holding.pod.annotations.get(UTILIZATION, 1))


def stranded_milli(state: NodeState, typical: Sequence[TypicalPod]) -> int:
    """Idle milli of the GPUs that no typical pod could take on this node."""
    return sum(state.gpu_milli_free[index] for index in stranded_gpus(state, typical))


def stranded_gpus(state: NodeState, typical: Sequence[TypicalPod]) -> frozenset[int]:
    """Indices of the GPUs that are not full and that no typical pod could take on this node."""
    runnable = [pod.demand for pod in typical if pod.demand.gpus and objection(state, pod.demand) is None]
    usable = {index for demand in runnable for index in fitting_gpus(state, demand)}
    return frozenset(index for index, left in enumerate(state.gpu_milli_free) if left and index not in usable)
