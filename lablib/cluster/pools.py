"""Node pools: what nodes an embedded cluster has. Does no I/O.

The labels are those that NVIDIA's GPU feature discovery sets, and Kubernetes' well-known topology labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lablib.cluster.client import MANAGED
from lablib.cluster.convert import GPU, SHARED_GPU
from lablib.errors import LabError
from lablib.gpu.device import Gpu, Node
from lablib.gpu.models import MODELS
from lablib.units import GPU_MILLI

NODES_PER_RACK: Final = 8
MOST_NODES: Final = 1000
MOST_GPUS: Final = 16


@dataclass(frozen=True)
class NodePool:
    """Nodes of one kind."""

    model: str
    """GPU model: a key of lablib.gpu.models.MODELS, such as "H100"; "" for nodes without GPUs."""
    nodes: int
    gpus: int = 8
    """Of each node."""
    cpu_milli: int = 128_000
    memory_mib: int = 1024 * 1024
    zones: tuple[str, ...] = ("zone-a",)
    """Racks are spread over them in turn."""

    def names(self) -> tuple[str, ...]:
        """Names of its nodes: h100-000, h100-001, ...; cpu-000 for nodes without GPUs."""
        return tuple(f"{(self.model or 'cpu').lower()}-{number:03d}" for number in range(self.nodes))


def pool_nodes(pools: Iterable[NodePool]) -> Iterator[Node]:
    """The nodes of all pools, with zones and racks: NODES_PER_RACK to a rack, racks to zones in turn.

    Raises:
        LabError: a pool that can't be, or two pools of one model.
    """
    seen: set[str] = set()
    for pool in pools:
        _check(pool)
        if pool.model in seen:
            raise LabError(f"Two node pools of model {pool.model or 'none'}", remedy="Make one larger pool")
        seen.add(pool.model)
        for number, name in enumerate(pool.names()):
            yield pool_node(pool, number, name)


def _check(pool: NodePool) -> None:
    """Refuse what can't be a pool."""
    if pool.model and pool.model not in MODELS:
        raise LabError(
            f"There is no GPU model {pool.model}", remedy=f"Choose one of {', '.join(sorted(MODELS))}"
        )
    if not 0 <= pool.nodes <= MOST_NODES:
        raise LabError(f"A pool of {pool.nodes} nodes", remedy=f"Choose 0 to {MOST_NODES}")
    if not 1 <= pool.gpus <= MOST_GPUS:
        raise LabError(f"Nodes of {pool.gpus} GPUs", remedy=f"Choose 1 to {MOST_GPUS}; no model means none")
    if not pool.zones:
        raise LabError("A pool in no zone", remedy="Name at least one zone")


def pool_node(pool: NodePool, number: int, name: str) -> Node:
    """One node of a pool."""
    rack = number // NODES_PER_RACK
    topology = {
        "topology.kubernetes.io/region": "lab",
        "topology.kubernetes.io/zone": pool.zones[rack % len(pool.zones)],
        "topology.lab/rack": f"{(pool.model or 'cpu').lower()}-rack-{rack}",
    }
    count = pool.gpus if pool.model else 0
    gpus = tuple(Gpu(index, pool.model, MODELS[pool.model].memory_mib) for index in range(count))
    return lab_node(Node(name, pool.cpu_milli, pool.memory_mib, gpus, topology))


def lab_node(node: Node) -> Node:
    """The node as it joins: with the labels and resources that a real one would report, and not Ready yet.

    What it has stays. Use it for nodes of your own, such as those of a trace; KWOK makes them Ready.
    """
    labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"} | discovery_labels(node)
    healthy = sum(gpu.healthy for gpu in node.gpus)
    resources = {GPU: healthy, SHARED_GPU: healthy * GPU_MILLI} if node.gpus else {}
    return replace(
        node,
        labels=labels | dict(node.labels) | {MANAGED: "true"},
        resources=resources | dict(node.resources),
        ready=False,
    )


def discovery_labels(node: Node) -> dict[str, str]:
    """The labels that NVIDIA's GPU feature discovery sets on a node; none without GPUs."""
    if not node.gpus:
        return {}
    model = MODELS.get(node.model)
    labels = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(len(node.gpus)),
        "nvidia.com/gpu.memory": str(node.gpus[0].memory_mib),
        "nvidia.com/gpu.product": model.product if model else node.model,
        "nvidia.com/mig.capable": str(bool(model and model.mig)).lower(),
        "nvidia.com/gpu.sharing-strategy": "none",
    }
    if model:
        labels["nvidia.com/gpu.family"] = model.family
        labels["nvidia.com/gpu.compute.major"] = str(model.compute[0])
        labels["nvidia.com/gpu.compute.minor"] = str(model.compute[1])
    return labels
