"""Can this node run that pod, and if not, why not? Does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from lablib.scheduling.model import Demand, NodeState


def can_run(state: NodeState, demand: Demand) -> bool:
    """Whether the pod fits beside what runs on the node."""
    return objection(state, demand) is None


def objection(state: NodeState, demand: Demand) -> str | None:
    """The first reason why the pod can't run on the node; None when it can."""
    return next(_objections(state, demand), None)


def _objections(state: NodeState, demand: Demand) -> Iterator[str]:
    if not state.node.ready:
        yield "not Ready"
    if state.node.unschedulable:
        yield "cordoned"
    if demand.cpu_milli > state.cpu_milli_free:
        yield "lacks CPU"
    if demand.memory_mib > state.memory_mib_free:
        yield "lacks memory"
    if not demand.gpus:
        return
    if not state.node.gpus:
        yield "has no GPU"
    if demand.gpu_models and state.node.model not in demand.gpu_models:
        yield "GPU model differs"
    fitting = len(fitting_gpus(state, demand))
    if fitting < demand.gpus:
        yield f"{fitting} of {demand.gpus} GPUs have enough left"


def fitting_gpus(state: NodeState, demand: Demand) -> tuple[int, ...]:
    """Indices of the GPUs that have room for one share of the demand, ascending.

    Memory counts where the state tracks it.
    """
    room = zip_longest(state.gpu_milli_free, state.gpu_memory_mib_free)
    return tuple(
        index
        for index, (milli, memory_mib) in enumerate(room)
        if state.node.gpus[index].healthy
        and milli >= demand.gpu_milli
        and (memory_mib is None or memory_mib >= demand.gpu_memory_mib)
    )


def objections(states: Iterable[NodeState], demand: Demand) -> Mapping[str, int]:
    """Why the pod runs on none of these nodes, and for how many of them; nothing for those it can run on."""
    found = (objection(state, demand) for state in states)
    return Counter(reason for reason in found if reason is not None)
