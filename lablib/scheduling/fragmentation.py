"""How much idle GPU the pods that usually come can't use. Does no I/O.

The metric of "Beware of Fragmentation" (USENIX ATC 2023): how much of a node's idle GPU would a typical pod
find useless? Averaged over the typical pods, in GPU-milli.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lablib.scheduling.model import Demand, NodeState

TYPICAL_SHARE: Final = 0.95
"""The commonest shapes that make up this share of all pods are typical."""


@dataclass(frozen=True)
class TypicalPod:
    """A shape of pod and how common it is."""

    demand: Demand
    share: float
    """Of all typical pods; the shares add up to 1."""


def typical_pods(demands: Iterable[Demand], share: float = TYPICAL_SHARE) -> tuple[TypicalPod, ...]:
    """The fewest, commonest shapes that make up `share` of the pods, the commonest first.

    A shape is CPU, GPUs, milli of each, and models. Ties go to the larger shape.
    """
    counts = Counter(map(_shape, demands))
    ranked = sorted(counts.items(), key=lambda item: (item[1], *_size(item[0])), reverse=True)
    wanted, taken = share * counts.total(), 0
    typical: list[tuple[Demand, int]] = []
    for shape, count in ranked:
        if taken >= wanted:
            break
        typical.append((shape, count))
        taken += count
    return tuple(TypicalPod(shape, count / taken) for shape, count in typical)


def _shape(demand: Demand) -> Demand:
    return Demand(
        demand.cpu_milli, gpus=demand.gpus, gpu_milli=demand.gpu_milli, gpu_models=demand.gpu_models
    )


def _size(demand: Demand) -> tuple[int, int, int, list[str]]:
    return demand.cpu_milli, demand.gpu_milli, demand.gpus, sorted(demand.gpu_models)


def fragmentation(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    """GPU-milli of the node that a typical pod can't use, on average; 0 to all that is idle.

    For a pod that could run, only the GPUs that are too full for it count; for any other pod, all that is
    idle does. A pod that asks for no GPU can use none: all counts. Host memory is not looked at.
    """
    return sum(pod.share * _useless_milli(state, pod.demand) for pod in typical)


def _useless_milli(state: NodeState, demand: Demand) -> int:
    left = state.gpu_milli_free
    fitting = sum(milli >= demand.gpu_milli for milli in left)
    differs = bool(demand.gpu_models) and state.node.model not in demand.gpu_models
    if not demand.gpus or differs or fitting < demand.gpus or demand.cpu_milli > state.cpu_milli_free:
        return sum(left)
    return sum(milli for milli in left if milli < demand.gpu_milli)
