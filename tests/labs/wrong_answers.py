"""Wrong answers as learners write them: for each exercise three at least, and words that their hint must have."""

from lablib.errors import LabError
from lablib.scheduling.demand import gpu_demand as right_demand
from lablib.scheduling.feasibility import objections
from lablib.scheduling.model import Demand
from lablib.scheduling.report import AllocationReport, stranded_milli

GPU = "nvidia.com/gpu"


# 00, 1.1


def counts_pods(client):
    table = {}
    for node in client.nodes():
        held = len([p for p in client.pods() if p.node == node.name and GPU in p.resources and p.phase in ("Pending", "Running")])
        total = node.resources.get(GPU, 0)
        table[node.name] = (total, held, total - held)
    return table


def counts_finished_pods(client):
    table = {}
    for node in client.nodes():
        held = sum(p.resources.get(GPU, 0) for p in client.pods() if p.node == node.name)
        total = node.resources.get(GPU, 0)
        table[node.name] = (total, held, total - held)
    return table


def begins_with_pods(client):
    table = {}
    for pod in client.pods():
        if pod.node and pod.phase in ("Pending", "Running") and pod.resources.get(GPU):
            table[pod.node] = table.get(pod.node, 0) + pod.resources[GPU]
    totals = {node.name: node.resources.get(GPU, 0) for node in client.nodes()}
    return {name: (totals[name], held, totals[name] - held) for name, held in table.items()}


def indexes_resources(client):
    table = {node.name: (node.resources[GPU], 0, node.resources[GPU]) for node in client.nodes()}
    for pod in client.pods():
        total, held, free = table[pod.node]
        table[pod.node] = (total, held + pod.resources[GPU], free - pod.resources[GPU])
    return table


# 00, 2.1


def against_85(sample):
    return 85 - sample.temperature_celsius


def to_the_shutdown(sample):
    return sample.shutdown_celsius - sample.temperature_celsius


def truthy_margin(sample):
    if sample.margin_celsius:
        return sample.margin_celsius
    limit = sample.max_operating_celsius or sample.slowdown_celsius
    return limit - sample.temperature_celsius


def believes_all_is_known(sample):
    return sample.max_operating_celsius - sample.temperature_celsius


# 01, 1.1


def reads_whole_only(pod):
    count = pod.resources.get(GPU, 0)
    return Demand(pod.cpu_milli, pod.memory_mib, count, 1000 if count else 0, 0, pod.gpu_models)


def multiplies(pod):
    demand = gpu_demand_by_hand(pod)
    return Demand(
        demand.cpu_milli, demand.memory_mib, demand.gpus, demand.gpus * demand.gpu_milli, demand.gpu_memory_mib, demand.gpu_models
    )


def takes_the_first(pod):
    notes, count = pod.annotations, pod.resources.get(GPU, 0)
    if count:
        cores, memory = pod.resources.get("nvidia.com/gpucores", 0), pod.resources.get("nvidia.com/gpumem", 0)
        milli = cores * 10 if cores or memory else 1000
        return Demand(pod.cpu_milli, pod.memory_mib, count, milli, memory, pod.gpu_models)
    return gpu_demand_by_hand(pod) if notes else Demand(pod.cpu_milli, pod.memory_mib, gpu_models=pod.gpu_models)


def gpu_demand_by_hand(pod):
    notes, count = pod.annotations, pod.resources.get(GPU, 0)
    cores, memory = pod.resources.get("nvidia.com/gpucores", 0), pod.resources.get("nvidia.com/gpumem", 0)
    gpus, milli, gpu_memory = count, (cores * 10 if cores or memory else 1000) if count else 0, memory
    if count and notes:
        raise ValueError("two")
    if "gpu-fraction" in notes:
        gpus, milli = 1, round(float(notes["gpu-fraction"]) * 1000)
    if "gpu-memory" in notes:
        gpus, gpu_memory = 1, int(notes["gpu-memory"])
    if "alibabacloud.com/gpu-milli" in notes:
        gpus, milli = int(notes.get("alibabacloud.com/gpu-count", 1)), int(notes["alibabacloud.com/gpu-milli"])
    return Demand(pod.cpu_milli, pod.memory_mib, gpus, milli, gpu_memory, pod.gpu_models)


# 01, 2.1


def adds_up(state, demand):
    node = state.node
    if not node.ready or node.unschedulable or demand.cpu_milli > state.cpu_milli_free:
        return False
    if demand.memory_mib > state.memory_mib_free:
        return False
    if demand.gpus and demand.gpu_models and node.model not in demand.gpu_models:
        return False
    return sum(state.gpu_milli_free) >= demand.gpus * demand.gpu_milli


def forgets_the_host(state, demand):
    if demand.gpus and demand.gpu_models and state.node.model not in demand.gpu_models:
        return False
    left = zip(state.gpu_milli_free, state.gpu_memory_mib_free)
    return sum(m >= demand.gpu_milli and g >= demand.gpu_memory_mib for m, g in left) >= demand.gpus


def strictly_less(state, demand):
    node = state.node
    if not node.ready or node.unschedulable:
        return False
    if demand.cpu_milli >= state.cpu_milli_free or demand.memory_mib > state.memory_mib_free:
        return False
    if demand.gpus and demand.gpu_models and node.model not in demand.gpu_models:
        return False
    left = zip(state.gpu_milli_free, state.gpu_memory_mib_free)
    return sum(m > demand.gpu_milli and g >= demand.gpu_memory_mib for m, g in left) >= demand.gpus


def answers_a_number(state, demand):
    return int(adds_up(state, demand))


# 01, 3.1


def all_that_is_idle(state, typical):
    return sum(state.gpu_milli_free)


def only_the_too_full(state, typical):
    lost = 0
    for pod in typical:
        lost += pod.share * sum(m for m in state.gpu_milli_free if m < pod.demand.gpu_milli)
    return lost


def forgets_the_share(state, typical):
    lost, left = 0, state.gpu_milli_free
    for pod in typical:
        d = pod.demand
        room = sum(m >= d.gpu_milli for m in left)
        fits = not d.gpu_models or state.node.model in d.gpu_models
        if d.gpus and room >= d.gpus and fits and d.cpu_milli <= state.cpu_milli_free:
            lost += sum(m for m in left if m < d.gpu_milli)
        else:
            lost += sum(left)
    return lost


# 01, 4.1


def report(assignment, pods, typical, **changes):
    states = assignment.snapshot.nodes
    capacity = sum(1000 for state in states for gpu in state.node.gpus if gpu.healthy)
    fields = {
        "capacity_milli": capacity,
        "allocated_milli": capacity - sum(sum(state.gpu_milli_free) for state in states),
        "used_milli": sum(
            holding.demand.total_gpu_milli * float(holding.pod.annotations.get("lab/gpu-utilization", 1))
            for holding in assignment.holdings
            if not holding.refused
        ),
        "stranded_milli": sum(stranded_milli(state, typical) for state in states),
        "waiting": {
            pod.name: dict(objections(states, right_demand(pod))) for pod in pods if pod.phase == "Pending" and not pod.node
        },
    }
    return AllocationReport(**fields | changes)


def used_is_allocated(assignment, pods, typical):
    right = report(assignment, pods, typical)
    return report(assignment, pods, typical, used_milli=right.allocated_milli)


def stranded_is_idle(assignment, pods, typical):
    right = report(assignment, pods, typical)
    return report(assignment, pods, typical, stranded_milli=right.capacity_milli - right.allocated_milli)


def counts_wishes(assignment, pods, typical):
    wishes = sum(holding.demand.total_gpu_milli for holding in assignment.holdings)
    return report(assignment, pods, typical, allocated_milli=wishes)


def nobody_waits(assignment, pods, typical):
    return report(assignment, pods, typical, waiting={})


# For every exercise


def returns_nothing(*_):
    return None


def never_ends(*_):
    while True:
        pass


def leaves(*_):
    raise SystemExit


def catches_all(*_):
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


def calls_for_help(*_):
    raise LabError("help")


WRONG = {
    ("00-platform", "1.1"): {
        counts_pods: "You count pods",
        counts_finished_pods: "pods that have ended",
        begins_with_pods: "nodes are missing",
        indexes_resources: "that has ended holds nothing",
    },
    ("00-platform", "2.1"): {
        against_85: "against 85",
        to_the_shutdown: "to the shutdown",
        truthy_margin: "0 or x",
        believes_all_is_known: "the driver itself says",
    },
    ("01-gpus", "1.1"): {
        reads_whole_only: "whole GPUs only",
        multiplies: "of *each* GPU",
        takes_the_first: "two notations",
    },
    ("01-gpus", "2.1"): {
        adds_up: "add up what is left",
        forgets_the_host: "GPUs alone",
        strictly_less: "Exactly enough is enough",
        answers_a_number: "you answered `1`",
    },
    ("01-gpus", "3.1"): {
        all_that_is_idle: "all that is idle",
        only_the_too_full: "only the GPUs that are too full",
        forgets_the_share: "Weigh each",
    },
    ("01-gpus", "4.1"): {
        used_is_allocated: "Used equals allocated",
        stranded_is_idle: "all that is idle stranded",
        counts_wishes: "asked and got nothing",
        nobody_waits: "Who waits is missing",
    },
}
"""By lab and exercise: wrong answers, and what their hint says."""

HOSTILE = {
    returns_nothing: "you answered `None`",
    never_ends: "took more than 1 s",
    leaves: "SystemExit",
    catches_all: "took more than 1 s",
    calls_for_help: "help",
}
"""Wrong for every exercise."""
