"""Lab 01: what pods ask for, where they can run, what is lost to fragmentation, and the report. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import Any, Final

from lablib.gpu.device import Gpu, Node
from lablib.grading.checks import Case, Exercise, Mistake
from lablib.scheduling.demand import gpu_demand
from lablib.scheduling.feasibility import can_run, fitting_gpus, objection, objections
from lablib.scheduling.fragmentation import TypicalPod, fragmentation
from lablib.scheduling.model import PENDING, RUNNING, SUCCEEDED, Demand, NodeState, Pod
from lablib.scheduling.report import (
    AllocationReport,
    Assignment,
    allocation_report,
    assign,
)

GPU, MEMORY, CORES = "nvidia.com/gpu", "nvidia.com/gpumem", "nvidia.com/gpucores"
MILLI, COUNT = "alibabacloud.com/gpu-milli", "alibabacloud.com/gpu-count"


def _pod(resources: Mapping[str, int] | None = None, **annotations: str) -> Pod:
    names = {"milli": MILLI, "count": COUNT, "fraction": "gpu-fraction", "memory": "gpu-memory"}
    notes = {names[key]: value for key, value in annotations.items()}
    return Pod(
        "train",
        cpu_milli=4000,
        memory_mib=8192,
        resources=MappingProxyType(dict(resources or {})),
        annotations=MappingProxyType(notes),
    )


# 1.1


def _whole_only(pod: Pod) -> Demand:
    count = pod.resources.get(GPU, 0)
    return Demand(pod.cpu_milli, pod.memory_mib, count, 1000 * bool(count), gpu_models=pod.gpu_models)


def _fraction_of_all(pod: Pod) -> Demand:
    right = gpu_demand(pod)
    return replace(right, gpu_milli=right.total_gpu_milli)


def _fraction_as_it_is(pod: Pod) -> Demand:
    right = gpu_demand(pod)
    return replace(right, gpu_milli=1 if "gpu-fraction" in pod.annotations else right.gpu_milli)


def _percent_as_milli(pod: Pod) -> Demand:
    right = gpu_demand(pod)
    return replace(right, gpu_milli=pod.resources.get(CORES, right.gpu_milli))


def _whole_although_memory(pod: Pod) -> Demand:
    right = gpu_demand(pod)
    return replace(right, gpu_milli=right.gpu_milli or 1000 * bool(right.gpus))


def _one_gpu_always(pod: Pod) -> Demand:
    right = gpu_demand(pod)
    return replace(right, gpus=min(right.gpus, 1))


def _no_host(pod: Pod) -> Demand:
    return replace(gpu_demand(pod), cpu_milli=0, memory_mib=0)


def _any_model(pod: Pod) -> Demand:
    return replace(gpu_demand(pod), gpu_models=frozenset())


def _first_that_is_there(pod: Pod) -> Demand:
    try:
        return gpu_demand(pod)
    except ValueError:
        return _whole_only(pod)


def _draw_pod(random: Random) -> tuple[Pod]:
    milli = str(random.randint(1, 1000))
    pods = [
        _pod(),
        _pod({GPU: random.randint(1, 8)}),
        _pod({GPU: random.randint(1, 4), MEMORY: random.randint(1, 80_000), CORES: random.randint(1, 100)}),
        _pod({GPU: random.randint(1, 4), MEMORY: random.randint(1, 80_000)}),
        _pod(fraction=f"{random.randint(1, 20) / 20:g}"),
        _pod(memory=str(random.randint(1, 80_000))),
        _pod(milli=milli),
        _pod(milli=milli, count=str(random.randint(1, 8))),
        _pod({GPU: 1}, milli=milli),
    ]
    models = random.choice([frozenset[str](), frozenset({"H100"})])
    pod = replace(random.choice(pods), cpu_milli=random.randint(0, 64_000), gpu_models=models)
    return (pod,)


DEMAND: Final = Exercise(
    number="1.1",
    reference=gpu_demand,
    cases=(
        Case((_pod(),), "a pod that asks for no GPU", "Most of a demand is 0 then, CPU and memory are not."),
        Case((_pod({GPU: 2}),), "a pod with `nvidia.com/gpu: 2`", "A whole GPU is 1000 milli, of each."),
        Case(
            (replace(_pod({GPU: 1}), gpu_models=frozenset({"H100", "H200"})),),
            "a pod that allows H100 and H200",
            "The models it allows come along.",
        ),
        Case(
            (_pod({GPU: 2, MEMORY: 4096, CORES: 30}),),
            "HAMi: two GPUs, 4096 MiB and 30 percent of each",
            "`nvidia.com/gpucores` is percent: a hundred of them are 1000 milli.",
        ),
        Case(
            (_pod({GPU: 1, MEMORY: 4096}),),
            "HAMi: one GPU with 4096 MiB and no `gpucores`",
            "It asks for memory and says nothing of compute: 0 milli.",
        ),
        Case(
            (_pod(fraction="0.5"),), "KAI: `gpu-fraction: 0.5`", "Half of one GPU is 500 of its 1000 milli."
        ),
        Case((_pod(memory="2000"),), "KAI: `gpu-memory: 2000`", "2000 MiB of one GPU; 0 milli."),
        Case((_pod(milli="460"),), "Alibaba: `gpu-milli: 460`", "Without a count it means one GPU."),
        Case(
            (_pod(milli="460", count="2"),),
            "Alibaba: `gpu-milli: 460` and `gpu-count: 2`",
            "460 of each of two GPUs.",
        ),
        Case(
            (_pod({GPU: 1}, milli="460"),),
            "a pod that says both `nvidia.com/gpu: 1` and `gpu-milli: 460`",
            "Nobody can know which is meant. Raise a ValueError.",
        ),
    ),
    mistakes=(
        Mistake(
            _whole_only,
            "You read whole GPUs only. Go through the table: HAMi, KAI and Alibaba write elsewhere.",
        ),
        Mistake(
            _first_that_is_there,
            "A pod that speaks two notations gets an answer from you. Nobody can know which is meant: raise a ValueError.",
        ),
        Mistake(
            _fraction_of_all,
            "You add the shares up. `gpu_milli` is what it wants of *each* GPU; there are `gpus` of them.",
        ),
        Mistake(_fraction_as_it_is, "A fraction is not milli yet: half a GPU is 500."),
        Mistake(_percent_as_milli, "`nvidia.com/gpucores` counts percent. A hundred percent are 1000 milli."),
        Mistake(
            _whole_although_memory,
            "Who asks for memory alone doesn't ask for the whole GPU. Others may compute beside it: 0 milli.",
        ),
        Mistake(_one_gpu_always, "You always answer one GPU. `nvidia.com/gpu` and `gpu-count` can say more."),
        Mistake(
            _no_host,
            "CPU and host memory are missing. A GPU pod needs them as well, and lacks them surprisingly often.",
        ),
        Mistake(_any_model, "The models that the pod allows are missing: `pod.gpu_models`."),
    ),
    hint="Four notations, one meaning: how many GPUs, how much of each, how much memory of each. Ask first *which* notation the pod speaks.",
    stronger_hint="Write one small function for each notation. It returns three numbers, or None when the pod doesn't speak it. "
    "Call all of them: none answers, one answers, or you raise.",
    success=lambda _: (
        "Four notations, one `Demand`. kube-scheduler itself understands the first one only: the rest is a secret between a pod and its device plugin."
    ),
    draw=_draw_pod,
)


# 2.1


def _node(
    left: Sequence[int], cpu: int = 16_000, memory: int = 64_000, model: str = "A10", **fields: Any
) -> NodeState:
    gpus = tuple(Gpu(index, model, 23_028) for index in range(len(left)))
    shares = tuple(23_028 * milli // 1000 for milli in left)
    return NodeState(Node("n", 16_000, 64_000, gpus, **fields), cpu, memory, tuple(left), shares)


def _ask(gpus: int, milli: int, cpu: int = 4000, memory: int = 8000, **fields: Any) -> Demand:
    return Demand(cpu, memory, gpus, milli, **fields)


def _by_sum(state: NodeState, demand: Demand) -> bool:
    without = replace(demand, gpus=0)
    return (
        can_run(state, without)
        and sum(state.gpu_milli_free) >= demand.total_gpu_milli
        and _model_fits(state, demand)
    )


def _model_fits(state: NodeState, demand: Demand) -> bool:
    return not demand.gpus or not demand.gpu_models or state.node.model in demand.gpu_models


def _gpus_alone(state: NodeState, demand: Demand) -> bool:
    return len(fitting_gpus(state, demand)) >= demand.gpus and _model_fits(state, demand)


def _no_memory_of_gpus(state: NodeState, demand: Demand) -> bool:
    return can_run(replace(state, gpu_memory_mib_free=()), replace(demand, gpu_memory_mib=0))


def _no_models(state: NodeState, demand: Demand) -> bool:
    return can_run(state, replace(demand, gpu_models=frozenset()))


def _cordoned_too(state: NodeState, demand: Demand) -> bool:
    return can_run(replace(state, node=replace(state.node, unschedulable=False, ready=True)), demand)


def _strictly_more(state: NodeState, demand: Demand) -> bool:
    fitting = sum(left > demand.gpu_milli for left in state.gpu_milli_free)
    return can_run(state, demand) and fitting >= demand.gpus and state.cpu_milli_free > demand.cpu_milli


def _one_is_enough(state: NodeState, demand: Demand) -> bool:
    return can_run(state, replace(demand, gpus=min(demand.gpus, 1)))


def _draw_run(random: Random) -> tuple[NodeState, Demand]:
    left = [random.choice([0, 190, 400, 600, 1000]) for _ in range(random.choice([0, 1, 2, 4, 8]))]
    cpu, memory = random.choice([0, 4000, 16_000]), random.choice([0, 8000, 64_000])
    state = _node(left, cpu, memory, ready=random.random() < 0.9, unschedulable=random.random() < 0.1)
    gpus = random.choice([0, 1, 1, 2, 4])
    milli = random.choice([0, 190, 400, 600]) if gpus == 1 else 1000 * bool(gpus)
    models = random.choice([frozenset[str](), frozenset({"A10"}), frozenset({"H100"})])
    gpu_memory = random.choice([0, 0, 5000]) if gpus == 1 else 0
    return state, _ask(gpus, milli, gpu_models=models, gpu_memory_mib=gpu_memory)


CAN_RUN: Final = Exercise(
    number="2.1",
    reference=can_run,
    cases=(
        Case(
            (_node([1000, 1000]), _ask(1, 1000)),
            "an empty node and a pod that asks for one GPU",
            "Nothing speaks against it.",
        ),
        Case(
            (_node([1000, 400]), _ask(2, 400)),
            "GPUs with 1000 and 400 left, and a pod that wants 400 of two",
            "Exactly enough is enough.",
        ),
        Case(
            (_node([600, 600]), _ask(1, 1000)),
            "GPUs with 600 and 600 left, and a pod that wants a whole one",
            "There are 1200 milli left, and no GPU has 1000 of them.",
        ),
        Case(
            (_node([1000, 0]), _ask(2, 1000)),
            "one free GPU and a pod that wants two",
            "Each GPU counts once.",
        ),
        Case(
            (_node([1000], cpu=3999), _ask(1, 500)),
            "a node with 3999 CPU-milli left and a pod that wants 4000",
            "A GPU without CPU beside it is of no use.",
        ),
        Case(
            (_node([1000], memory=0), _ask(1, 500)),
            "a node without host memory left",
            "Host memory counts as well.",
        ),
        Case(
            (_node([]), _ask(0, 0)),
            "a node without GPUs and a pod that wants none",
            "That is quite all right.",
        ),
        Case(
            (_node([1000]), _ask(1, 500, gpu_models=frozenset({"H100"}))),
            "an A10 and a pod that wants an H100",
            "The pod says which models it allows.",
        ),
        Case(
            (_node([0], model="T4"), _ask(0, 0, gpu_models=frozenset({"H100"}))),
            "a pod that names a model and asks for no GPU",
            "Who wants no GPU doesn't mind which.",
        ),
        Case((_node([1000], ready=False), _ask(1, 500)), "a node that isn't Ready", "Nothing starts there."),
        Case(
            (_node([1000], unschedulable=True), _ask(1, 500)),
            "a node that is cordoned",
            "Nobody new may come.",
        ),
        Case(
            (_node([1000, 400]), _ask(2, 0, gpu_memory_mib=10_000)),
            "a pod that wants 10,000 MiB of two GPUs, and one of them has 9,211 left",
            "Memory of a GPU is taken GPU by GPU, like its milli.",
        ),
    ),
    mistakes=(
        Mistake(
            _by_sum,
            "You add up what is left. 600 on one GPU and 600 on another are no whole GPU: a pod can't be cut. Look at each GPU by itself.",
        ),
        Mistake(
            _gpus_alone,
            "You look at the GPUs alone. The node also needs CPU and memory left, and has to be Ready and not cordoned.",
        ),
        Mistake(_cordoned_too, "A node that isn't Ready, or is cordoned, takes nobody new."),
        Mistake(_no_memory_of_gpus, "You forget the memory of the GPUs: `gpu_memory_mib_free`, GPU by GPU."),
        Mistake(_no_models, "You forget the models: a pod may allow only some."),
        Mistake(_strictly_more, "Exactly enough is enough: compare with >=."),
        Mistake(
            _one_is_enough,
            "One GPU with room isn't enough for a pod that wants several: count those that have room.",
        ),
    ),
    hint="Walk through what could speak against it: the node itself, CPU, memory, model. And then the GPUs, one at a time.",
    stronger_hint="Count the GPUs that have both enough milli and enough memory left. Are there as many as the pod wants?",
    success=lambda prediction: (
        "A count says *how many are left*. A pod asks *where*. "
        + (f"You predicted {next(iter(prediction.values()))}: " if prediction else "")
        + "600 and 600 make 1200, and no whole GPU. **Free is not the same as usable.**"
    ),
    draw=_draw_run,
    off_limits=(objection, objections),
)


# 3.1


def _typical(*shares: tuple[Demand, float]) -> tuple[TypicalPod, ...]:
    return tuple(TypicalPod(demand, share) for demand, share in shares)


def _unweighted(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    return sum(fragmentation(state, [replace(pod, share=1.0)]) for pod in typical)


def _idle(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    return float(sum(state.gpu_milli_free))


def _too_full_only(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    return sum(
        pod.share * sum(left for left in state.gpu_milli_free if left < pod.demand.gpu_milli)
        for pod in typical
    )


def _remainders(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    total = 0.0
    for pod in typical:
        whole = fragmentation(state, [replace(pod, share=1.0)])
        runs = whole < sum(state.gpu_milli_free) or not whole
        rest = sum(left % max(pod.demand.gpu_milli, 1) for left in state.gpu_milli_free)
        total += pod.share * (rest if runs else whole)
    return total


def _with_memory(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    idle = sum(state.gpu_milli_free)
    return sum(
        pod.share * (fragmentation(state, [replace(pod, share=1.0)]) if can_run(state, pod.demand) else idle)
        for pod in typical
    )


def _cpu_pods_lose_nothing(state: NodeState, typical: Sequence[TypicalPod]) -> float:
    return fragmentation(state, [pod for pod in typical if pod.demand.gpus])


def _draw_fragmentation(random: Random) -> tuple[NodeState, tuple[TypicalPod, ...]]:
    state, _ = _draw_run(random)
    demands = [_draw_run(random)[1] for _ in range(random.randint(1, 4))]
    return replace(state, node=replace(state.node, ready=True, unschedulable=False)), _typical(
        *((replace(demand, memory_mib=0, gpu_memory_mib=0), 1 / len(demands)) for demand in demands)
    )


HALF, WHOLE, PLAIN = _ask(1, 500, memory=0), _ask(1, 1000, memory=0), _ask(0, 0, memory=0)

FRAGMENTATION: Final = Exercise(
    number="3.1",
    reference=fragmentation,
    cases=(
        Case(
            (_node([1000, 300]), _typical((HALF, 1.0))),
            "GPUs with 1000 and 300 left, when everybody asks for 500",
            "The second GPU is too full for it: what is left of it is of no use.",
        ),
        Case(
            (_node([1000, 1000]), _typical((WHOLE, 1.0))),
            "two empty GPUs, when everybody asks for a whole one",
            "All of it can be used.",
        ),
        Case(
            (_node([400, 300]), _typical((HALF, 1.0))),
            "GPUs with 400 and 300 left, when everybody asks for 500",
            "The pod doesn't run here at all: all 700 are of no use to it.",
        ),
        Case(
            (_node([1000, 300], cpu=1000), _typical((HALF, 1.0))),
            "a node with plenty of GPU and too little CPU",
            "Without CPU the pod doesn't run: all that is idle is of no use to it.",
        ),
        Case(
            (_node([1000, 300]), _typical((PLAIN, 1.0))),
            "a pod that asks for no GPU",
            "It can use none of what is idle: all of it counts.",
        ),
        Case(
            (_node([1000, 300]), _typical((HALF, 0.75), (WHOLE, 0.25))),
            "three quarters who ask for 500 and a quarter who ask for 1000",
            "Each kind of pod counts by its share.",
        ),
        Case(
            (_node([1000, 400]), _typical((_ask(2, 500, memory=0), 1.0))),
            "GPUs with 1000 and 400 left, and a pod that wants 500 of two",
            "One GPU has room and it wants two: it doesn't run here.",
        ),
        Case(
            (_node([1000]), _typical((replace(HALF, gpu_models=frozenset({"H100"})), 1.0))),
            "an A10 and a pod that wants an H100",
            "A pod of another model can use nothing here.",
        ),
        Case(
            (_node([700, 1000], memory=0), _typical((replace(HALF, memory_mib=100), 1.0))),
            "a node without host memory",
            "The metric doesn't look at host memory.",
        ),
    ),
    mistakes=(
        Mistake(_idle, "You count all that is idle. Some of it can be used: by whom, and how much?"),
        Mistake(
            _too_full_only,
            "You always count only the GPUs that are too full. When the pod can't run here at all (too few GPUs, too little CPU, no GPU asked), *all* that is idle is of no use to it.",
        ),
        Mistake(
            _cpu_pods_lose_nothing,
            "A pod without GPUs can use none of the idle ones. All of it counts for that pod.",
        ),
        Mistake(
            _unweighted, "You add the kinds of pods up. Weigh each by its `share`: the result is an average."
        ),
        Mistake(
            _remainders,
            "You count what would be left after the pod. The question is simpler: can this GPU be of use to it, yes or no?",
        ),
        Mistake(_with_memory, "Host memory isn't part of the metric. CPU is."),
    ),
    hint="Take one kind of pod at a time. Either it could run here, and then some GPUs are of use to it and some aren't. Or it could not.",
    stronger_hint="For each typical pod: does it run (enough GPUs with room, enough CPU, the right model, and it wants a GPU at all)? "
    "If so, add what is left on GPUs that are too full for it; if not, add all that is left. Multiply by its share.",
    success=lambda _: (
        "This is the metric of *Beware of Fragmentation* (ATC 2023), to the milli. In lab 02 a scheduler steers by it."
    ),
    draw=_draw_fragmentation,
)


# 4.1


def _rows(*pods: Pod) -> tuple[Assignment, tuple[Pod, ...], tuple[TypicalPod, ...]]:
    nodes = (_node([1000, 1000]).node, replace(_node([1000, 1000]).node, name="m"))
    return assign(nodes, pods), pods, _typical((HALF, 1.0))


def _bound(name: str, milli: int, node: str = "n", use: str = "1", at: float = 1.0) -> Pod:
    notes = {MILLI: str(milli), "lab/gpu-utilization": use}
    return Pod(
        name,
        annotations=MappingProxyType(notes),
        cpu_milli=4000,
        node=node,
        phase=RUNNING,
        created_seconds=at,
    )


def _report(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod], **changes: Any
) -> AllocationReport:
    return replace(allocation_report(assignment, pods, typical), **changes)


def _used_is_allocated(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    right = allocation_report(assignment, pods, typical)
    return replace(right, used_milli=float(right.allocated_milli))


def _refused_too(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    asked = sum(holding.demand.total_gpu_milli for holding in assignment.holdings)
    return _report(assignment, pods, typical, allocated_milli=asked)


def _refused_use(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    used = sum(
        holding.demand.total_gpu_milli * float(holding.pod.annotations.get("lab/gpu-utilization", 1))
        for holding in assignment.holdings
    )
    return _report(assignment, pods, typical, used_milli=used)


def _idle_is_stranded(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    idle = sum(sum(state.gpu_milli_free) for state in assignment.snapshot.nodes)
    return _report(assignment, pods, typical, stranded_milli=idle)


def _unhealthy_capacity(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    capacity = 1000 * sum(len(state.node.gpus) for state in assignment.snapshot.nodes)
    return _report(assignment, pods, typical, capacity_milli=capacity)


def _nobody_waits(
    assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]
) -> AllocationReport:
    return _report(assignment, pods, typical, waiting={})


def _all_wait(assignment: Assignment, pods: Sequence[Pod], typical: Sequence[TypicalPod]) -> AllocationReport:
    waiting = {
        pod.name: dict(objections(assignment.snapshot.nodes, gpu_demand(pod)))
        for pod in pods
        if pod.node is None or pod.phase != RUNNING
    }
    return _report(assignment, pods, typical, waiting=waiting)


def _draw_report(random: Random) -> tuple[Assignment, tuple[Pod, ...], tuple[TypicalPod, ...]]:
    nodes = []
    for number in range(random.randint(1, 3)):
        gpus = tuple(
            Gpu(index, "A10", 23_028, random.random() < 0.9) for index in range(random.choice([1, 2, 4]))
        )
        nodes.append(Node(f"n{number}", 16_000, 64_000, gpus))
    pods = []
    for number in range(random.randint(0, 8)):
        milli = random.choice([190, 460, 600, 810, 1000])
        bound = _bound(
            f"p{number}", milli, random.choice(nodes).name, random.choice(["1", "0.5", "0.3"]), number
        )
        waits = random.random() < 0.25
        pods.append(replace(bound, node=None, phase=PENDING) if waits else bound)
    return assign(nodes, pods), tuple(pods), _typical((HALF, 0.5), (WHOLE, 0.5))


_A, _B = _bound("a", 600, at=1), _bound("b", 600, at=2)
_WAITS = replace(_bound("w", 1000), node=None, phase=PENDING)
_SICK = Node("s", 16_000, 64_000, (Gpu(0, "A10", 23_028), Gpu(1, "A10", 23_028, healthy=False)))

REPORT: Final = Exercise(
    number="4.1",
    reference=allocation_report,
    cases=(
        Case(
            _rows(),
            "two empty nodes with two GPUs each",
            "4000 milli, nothing allocated, nothing used, nothing stranded.",
        ),
        Case(
            _rows(_A),
            "one pod that holds 600 of a GPU and uses all of it",
            "Allocated is what has been given away: the capacity without what is left.",
        ),
        Case(
            _rows(_bound("a", 1000, use="0.33")),
            "a pod that holds a whole GPU and uses a third of it",
            "Used is what was given, times the share that is really used.",
        ),
        Case(
            _rows(_A, _B),
            "two pods that left 400 milli on each GPU of a node, when everybody asks for 500",
            "800 milli are idle where nobody who usually comes could use them: stranded.",
        ),
        Case(
            _rows(_A, _B, _bound("c", 700, at=3)),
            "a pod that was sent to a node where no GPU has room for it",
            "Its holding says `refused`: it has no GPU, so it is given none and uses none.",
        ),
        Case(
            _rows(_A, _WAITS),
            "a pod that waits",
            "Say why, and for how many nodes: `objections(states, demand)`.",
        ),
        Case(
            _rows(_A, replace(_bound("done", 500), phase=SUCCEEDED, node="m")),
            "a pod that has succeeded",
            "It neither holds anything nor waits.",
        ),
        Case(
            (assign([_SICK], []), (), _typical((HALF, 1.0))),
            "a node with one healthy and one unhealthy GPU",
            "An unhealthy GPU is no capacity.",
        ),
    ),
    mistakes=(
        Mistake(
            _used_is_allocated,
            "Used equals allocated in your report. That is the whole mystery of the thirty per cent: who holds a GPU doesn't always use it. Each pod's annotation `lab/gpu-utilization` tells.",
        ),
        Mistake(
            _idle_is_stranded,
            "You call all that is idle stranded. Stranded is what no typical pod could take where it is: `stranded_milli(state, typical)`.",
        ),
        Mistake(
            _refused_too,
            "You count what pods asked for. A refused pod asked and got nothing: look at what is left of the nodes.",
        ),
        Mistake(_refused_use, "A refused pod uses nothing: it has no GPU."),
        Mistake(_unhealthy_capacity, "An unhealthy GPU is no capacity: look at `gpu.healthy`."),
        Mistake(_nobody_waits, "Who waits is missing: pods that are Pending and on no node."),
        Mistake(_all_wait, "Some of those don't wait. A pod waits when it is Pending *and* on no node."),
    ),
    hint="Four sums and a dictionary. What is there? What is given away? What of that is used? What is idle and of no use? And who waits, for what?",
    stronger_hint="Capacity: healthy GPUs, 1000 each. Allocated: capacity without `gpu_milli_free`. Used: over the holdings that aren't refused. "
    "Stranded: `stranded_milli` over the states. Waiting: `objections` for every pod that is Pending and on no node.",
    success=lambda _: (
        "Three numbers that people mix up every day: allocated, used, stranded. Yours can tell them apart. Now let a real scheduler make some."
    ),
    draw=_draw_report,
)

EXERCISES: Final = (DEMAND, CAN_RUN, FRAGMENTATION, REPORT)
