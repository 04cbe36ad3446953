"""Traces: who arrives, and on what nodes. Does no I/O, but for one file of the package.

`generate` draws nodes and pods with the marginals of Alibaba's openb trace (openb.json: counted shapes, no
rows). openb.py loads the trace itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Final

import numpy as np

from lablib.cluster.convert import SHARED_GPU
from lablib.errors import TraceError
from lablib.gpu.device import Gpu, Node
from lablib.gpu.models import MODELS
from lablib.scheduling.demand import ALIBABA_COUNT, ALIBABA_MILLI, WHOLE
from lablib.scheduling.model import Demand, Pod
from lablib.scheduling.report import UTILIZATION
from lablib.units import GPU_MILLI

ARRIVAL_SECONDS: Final = 10.0
"""Mean time between two generated arrivals."""


@dataclass(frozen=True)
class TracePod:
    """One pod of a trace."""

    name: str
    demand: Demand
    created_seconds: float
    """Since the trace began."""
    deleted_seconds: float | None = None
    """None when it outlives the trace."""


@dataclass(frozen=True)
class Trace:
    """Nodes, and pods in the order in which they arrive."""

    nodes: tuple[Node, ...]
    pods: tuple[TracePod, ...]

    @property
    def capacity_milli(self) -> int:
        """GPU-milli of all nodes."""
        return GPU_MILLI * sum(len(node.gpus) for node in self.nodes)

    @property
    def requested_milli(self) -> int:
        """GPU-milli that all pods ask for."""
        return sum(pod.demand.total_gpu_milli for pod in self.pods)


# Generated


def generate(random: np.random.Generator, nodes: int = 60, load: float = 1.0) -> Trace:
    """A trace with openb's marginals.

    Args:
        random: where chance comes from.
        nodes: how many; their kinds are in openb's proportions, whatever the chance.
        load: pods are drawn until they ask for this share of all GPUs.

    Raises:
        TraceError: fewer than one node, or no load.
    """
    if nodes < 1 or load <= 0:
        raise TraceError(
            f"A trace of {nodes} nodes at load {load}", remedy="Ask for at least one, and a load"
        )
    marginals = json.loads((files("lablib.scheduling") / "openb.json").read_text())
    made = tuple(_draw_nodes(marginals["nodes"]["rows"], nodes))
    trace = Trace(made, ())
    return replace(
        trace, pods=tuple(_draw_pods(random, marginals["pods"]["rows"], load * trace.capacity_milli))
    )


def _draw_nodes(rows: list[list[Any]], nodes: int) -> Iterator[Node]:
    """Kinds in proportion, by largest remainder."""
    total = sum(row[0] for row in rows)
    shares = [row[0] * nodes / total for row in rows]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(rows)), key=lambda index: counts[index] - shares[index])
    for index in by_remainder[: nodes - sum(counts)]:
        counts[index] += 1
    made = Counter[str]()
    for (_, cpu_milli, memory_mib, gpus, model), count in zip(rows, counts, strict=True):
        for _ in range(count):
            yield trace_node(f"{model.lower()}-{made[model]:03d}", cpu_milli, memory_mib, gpus, model)
            made[model] += 1


def _draw_pods(random: np.random.Generator, rows: list[list[int]], wanted_milli: float) -> Iterator[TracePod]:
    counts = np.array([row[0] for row in rows], dtype=float)
    seconds, asked, number = 0.0, 0, 0
    while asked < wanted_milli:
        _, gpus, gpu_milli, cpu_milli, memory_mib = rows[random.choice(len(rows), p=counts / counts.sum())]
        seconds += random.exponential(ARRIVAL_SECONDS)
        yield TracePod(f"pod-{number:04d}", Demand(cpu_milli, memory_mib, gpus, gpu_milli), seconds)
        asked, number = asked + gpus * gpu_milli, number + 1


def trace_node(name: str, cpu_milli: int, memory_mib: int, gpus: int, model: str) -> Node:
    """A node of a trace; memory of its GPUs from gpu/models.py, 0 for an unknown model."""
    gpu_memory_mib = MODELS[model].memory_mib if model in MODELS else 0
    return Node(
        name, cpu_milli, memory_mib, tuple(Gpu(index, model, gpu_memory_mib) for index in range(gpus))
    )


# On a cluster


def as_pod(pod: TracePod, utilization: float = 1.0) -> Pod:
    """The pod as one writes it for a cluster: Alibaba's notation, and what kube-scheduler can count.

    Args:
        pod: of a trace.
        utilization: share of its GPUs that it will really use, 0 to 1.
    """
    demand = pod.demand
    annotations, resources = {}, {}
    if demand.gpus:
        annotations[UTILIZATION] = f"{utilization:g}"
        resources[SHARED_GPU] = demand.total_gpu_milli
    if demand.gpus and demand.gpu_milli == GPU_MILLI:
        resources[WHOLE] = demand.gpus
    elif demand.gpus:
        annotations |= {ALIBABA_MILLI: str(demand.gpu_milli), ALIBABA_COUNT: str(demand.gpus)}
    return Pod(
        pod.name,
        annotations=annotations,
        cpu_milli=demand.cpu_milli,
        memory_mib=demand.memory_mib,
        resources=resources,
        gpu_models=demand.gpu_models,
    )


def asking_whole(pod: TracePod) -> TracePod:
    """The same pod if nobody shared: a whole GPU wherever it asked for a part of one."""
    gpu_milli = GPU_MILLI if pod.demand.gpus else 0
    return replace(pod, demand=replace(pod.demand, gpu_milli=gpu_milli))
