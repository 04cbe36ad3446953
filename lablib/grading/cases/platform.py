"""Lab 00: GPUs counted from the API, and the margin before a GPU slows down. Does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final

from lablib.gpu.device import Gpu, Node
from lablib.gpu.telemetry import Sample, thermal_margin
from lablib.grading.checks import Case, Exercise, Mistake
from lablib.scheduling.model import FAILED, PENDING, RUNNING, SUCCEEDED, Pod

GPU: Final = "nvidia.com/gpu"


@dataclass(frozen=True)
class StillCluster:
    """A cluster at one moment: what a client answers."""

    its_nodes: tuple[Node, ...]
    its_pods: tuple[Pod, ...] = ()

    def nodes(self) -> tuple[Node, ...]:
        """All nodes."""
        return self.its_nodes

    def pods(self) -> tuple[Pod, ...]:
        """All pods."""
        return self.its_pods


def gpus_by_node(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    """Capacity, allocated and free GPUs of every node, by its name."""
    held = dict.fromkeys((node.name for node in client.nodes()), 0)
    for pod in client.pods():
        if pod.node in held and pod.phase in (PENDING, RUNNING):
            held[pod.node] += pod.resources.get(GPU, 0)
    counts = {node.name: node.resources.get(GPU, 0) for node in client.nodes()}
    return {name: (count, held[name], count - held[name]) for name, count in counts.items()}


# 1.1: wrong in ways that people are wrong


def _a_gpu_a_pod(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    return _count(client, lambda pod: int(GPU in pod.resources and pod.phase in (PENDING, RUNNING)))


def _those_that_ended(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    return _count(client, lambda pod: pod.resources.get(GPU, 0))


def _running_only(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    return _count(client, lambda pod: pod.resources.get(GPU, 0) * (pod.phase == RUNNING))


def _count(client: StillCluster, weight: Callable[[Pod], int]) -> dict[str, tuple[int, int, int]]:
    held = {
        node.name: sum(int(weight(pod)) for pod in client.pods() if pod.node == node.name)
        for node in client.nodes()
    }
    counts = {node.name: node.resources.get(GPU, 0) for node in client.nodes()}
    return {name: (count, held[name], count - held[name]) for name, count in counts.items()}


def _unhealthy_too(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    right, gpus = gpus_by_node(client), {node.name: len(node.gpus) for node in client.nodes()}
    return {name: (gpus[name], held, gpus[name] - held) for name, (_, held, _) in right.items()}


def _busy_nodes_only(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    return {name: counts for name, counts in gpus_by_node(client).items() if counts[1]}


def _no_plain_nodes(client: StillCluster) -> dict[str, tuple[int, int, int]]:
    return {name: counts for name, counts in gpus_by_node(client).items() if counts[0]}


def _node(name: str, gpus: int, unhealthy: int = 0) -> Node:
    devices = tuple(Gpu(index, "H100", 81_559, index >= unhealthy) for index in range(gpus))
    return Node(
        name, 64_000, 512_000, devices, resources=MappingProxyType({GPU: gpus - unhealthy} if gpus else {})
    )


def _pod(name: str, node: str | None, gpus: int, phase: str = RUNNING) -> Pod:
    return Pod(name, resources=MappingProxyType({GPU: gpus} if gpus else {}), node=node, phase=phase)


def _draw_cluster(random: Random) -> tuple[StillCluster]:
    nodes = []
    for number in range(random.randint(0, 4)):
        gpus = random.choice([0, 1, 4, 8])
        nodes.append(_node(f"n{number}", gpus, random.randint(0, 1) if gpus else 0))
    names = [node.name for node in nodes]
    pods = [
        _pod(
            f"p{number}",
            random.choice([*names, None]) if names else None,
            random.randint(0, 2),
            random.choice([PENDING, RUNNING, RUNNING, SUCCEEDED, FAILED]),
        )
        for number in range(random.randint(0, 6))
    ]
    return (StillCluster(tuple(nodes), tuple(pods)),)


ONE_NODE: Final = StillCluster((_node("a", 8),), (_pod("p", "a", 2),))

COUNTING: Final = Exercise(
    number="1.1",
    reference=gpus_by_node,
    cases=(
        Case(
            (ONE_NODE,), "one node with eight GPUs and a pod that holds two", "Begin with what a node tells."
        ),
        Case(
            (StillCluster((_node("a", 8), _node("b", 4)), (_pod("p", "a", 8),)),),
            "two nodes, all pods on one of them",
            "Every node has a row, also one that nobody uses.",
        ),
        Case(
            (StillCluster((_node("a", 8),), (_pod("p", "a", 2), _pod("q", "a", 4, SUCCEEDED))),),
            "a node whose second pod has succeeded",
            "A pod that has ended holds nothing any more.",
        ),
        Case(
            (StillCluster((_node("a", 8),), (_pod("p", "a", 3, PENDING),)),),
            "a pod that is bound and not started yet",
            "From the moment it is bound, its GPUs are taken.",
        ),
        Case(
            (StillCluster((_node("a", 8),), (_pod("p", None, 3, PENDING),)),),
            "a pod that waits for a node",
            "Who waits holds nothing.",
        ),
        Case(
            (StillCluster((_node("a", 8, unhealthy=2),), (_pod("p", "a", 1),)),),
            "a node with two of its eight GPUs unhealthy",
            "What can be given out is in `node.resources`.",
        ),
        Case(
            (StillCluster((_node("a", 0), _node("b", 1)), (_pod("p", "a", 0), _pod("q", "b", 0))),),
            "a node and pods without GPUs",
            "A node without GPUs has a row of zeros, and many pods ask for none.",
        ),
    ),
    mistakes=(
        Mistake(
            _a_gpu_a_pod,
            "You count pods. A pod may hold several GPUs: how many, it says in `pod.resources`.",
        ),
        Mistake(
            _those_that_ended,
            "You count pods that have ended. A pod that has succeeded or failed keeps its name and gives its "
            "GPUs back: look at `pod.phase`.",
        ),
        Mistake(
            _running_only,
            "You count only pods that run. Between being bound and running a pod is Pending, and its GPUs are "
            "taken already: look at `pod.node` as well.",
        ),
        Mistake(
            _unhealthy_too,
            "You count every GPU in the machine. An unhealthy one is there and can't be given out: "
            "`node.resources` has what can.",
        ),
        Mistake(_busy_nodes_only, "Idle nodes are missing. Begin with the nodes, then add what pods hold."),
        Mistake(
            _no_plain_nodes, "Nodes without GPUs are missing. They have a row too: three zeros, at most."
        ),
    ),
    hint="Two questions, one after the other. What does each node offer? Which pods hold some of it now?",
    stronger_hint="Make a dictionary with 0 for every node. Go through the pods; skip those on no node and those "
    "that have ended; add what the others ask for. Then put the three numbers together.",
    success=lambda prediction: (
        "That is all a scheduler knows about GPUs: a number on a node, and numbers on its pods. "
        "Lab 01 is about what such a count can't see." + _told(prediction, "free")
    ),
    draw=_draw_cluster,
)


def _told(prediction: Mapping[str, Any], key: str) -> str:
    return f" You predicted {prediction[key]}: compare with what you measure next." if prediction else ""


# 2.1


def _eighty_five(sample: Sample) -> int | None:
    return 85 - (sample.temperature_celsius or 0)


def _to_shutdown(sample: Sample) -> int | None:
    return (sample.shutdown_celsius or 0) - (sample.temperature_celsius or 0)


def _to_hardware_slowdown(sample: Sample) -> int | None:
    if sample.margin_celsius is not None:
        return sample.margin_celsius
    return (sample.slowdown_celsius or 0) - (sample.temperature_celsius or 0)


def _never_the_driver(sample: Sample) -> int | None:
    known = [each for each in (sample.max_operating_celsius, sample.slowdown_celsius) if each is not None]
    return min(known) - (sample.temperature_celsius or 0) if known else None


def _zero_is_none(sample: Sample) -> int | None:
    return sample.margin_celsius or _never_the_driver(sample)


def _never_below_zero(sample: Sample) -> int | None:
    return max(thermal_margin(sample), 0)


def _backwards(sample: Sample) -> int | None:
    return -thermal_margin(sample)


def _sample(model: str, celsius: int, *limits: int | None, margin: int | None = None) -> Sample:
    operating, slowdown, shutdown = limits
    return Sample(
        0,
        model,
        temperature_celsius=celsius,
        margin_celsius=margin,
        max_operating_celsius=operating,
        slowdown_celsius=slowdown,
        shutdown_celsius=shutdown,
    )


def _draw_sample(random: Random) -> tuple[Sample]:
    operating = random.randint(80, 95)
    slowdown = operating + random.randint(1, 6)
    known = random.choice([operating, None])
    celsius = random.randint(20, 100)
    margin = random.choice([None, operating - celsius, operating - celsius + 1, 0])
    return (_sample("some GPU", celsius, known, slowdown, slowdown + 3, margin=margin),)


MARGIN: Final = Exercise(
    number="2.1",
    reference=thermal_margin,
    cases=(
        Case(
            (_sample("NVIDIA A100-SXM4-80GB", 60, 85, 89, 92),),
            "an A100 at 60 degrees, with thresholds 85, 89 and 92",
            "Two numbers of the sample are enough.",
        ),
        Case(
            (_sample("Tesla T4", 60, 89, 93, 96),),
            "a T4 at 60 degrees, with thresholds 89, 93 and 96",
            "Each GPU has thresholds of its own.",
        ),
        Case(
            (_sample("NVIDIA H100 80GB HBM3", 70, 87, 89, 95, margin=12),),
            "an H100 at 70 degrees whose driver says that 12 are left",
            "When the driver itself says how many degrees are left, it knows better than a subtraction.",
        ),
        Case(
            (_sample("NVIDIA H100 80GB HBM3", 88, 87, 89, 95, margin=0),),
            "an H100 whose driver says that 0 are left",
            "0 is an answer.",
        ),
        Case(
            (_sample("Tesla V100", 70, None, 90, 95),),
            "a GPU that doesn't tell its maximum operating temperature",
            "`None` means that this GPU doesn't tell. Take the first threshold that it does tell.",
        ),
        Case(
            (_sample("NVIDIA A100-SXM4-80GB", 88, 85, 89, 92),),
            "an A100 at 88 degrees, three above its maximum operating temperature",
            "Past the threshold the margin is below zero.",
        ),
    ),
    mistakes=(
        Mistake(
            _eighty_five,
            "You measure against 85. That is the article's number. It is an A100's, too; an H100 has 87 and a T4 "
            "has 89. The sample has this GPU's own.",
        ),
        Mistake(
            _to_shutdown,
            "You measure to the shutdown. The GPU slows down long before it switches itself off.",
        ),
        Mistake(
            _to_hardware_slowdown,
            "You measure to the hardware slowdown. Some degrees earlier, at `max_operating_celsius`, the driver "
            "begins to take clocks away.",
        ),
        Mistake(
            _never_the_driver,
            "You never ask the driver. Where `margin_celsius` is there, it is the driver's own answer.",
        ),
        Mistake(
            _zero_is_none,
            "A margin of 0 gets lost: `0 or x` is x. Ask whether it `is None`.",
        ),
        Mistake(_never_below_zero, "You stop at zero. How far past the threshold a GPU is matters as well."),
        Mistake(
            _backwards,
            "The sign is turned round: a cool GPU has a large margin, a hot one a negative one.",
        ),
    ),
    hint="Who knows best how far it is? After that, who knows second best?",
    stronger_hint="If `sample.margin_celsius` is not None, that is the answer. Otherwise: which of "
    "`max_operating_celsius` and `slowdown_celsius` are not None, and which comes first on the way up?",
    success=lambda prediction: (
        "No 85 anywhere. The margin is the number to watch: it means the same on every GPU."
        + (f" You predicted {prediction.get('margin')}." if prediction else "")
    ),
    draw=_draw_sample,
)

EXERCISES: Final = (COUNTING, MARGIN)
