"""Feasibility and fragmentation: by hand, against a literal reading of the paper, and by property."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lablib.gpu.device import Gpu, Node
from lablib.scheduling.feasibility import can_run, fitting_gpus, objection, objections
from lablib.scheduling.fragmentation import TypicalPod, fragmentation, typical_pods
from lablib.scheduling.model import Demand, NodeState


def state(*left, cpu=8000, memory=1000, model="T4", **fields):
    gpus = tuple(Gpu(index, model, 16000) for index in range(len(left)))
    return NodeState(Node("n", 8000, 1000, gpus, **fields), cpu, memory, left)


def ask(gpus, milli, cpu=1000, memory=10, **fields):
    return Demand(cpu, memory, gpus, milli, **fields)


@pytest.mark.parametrize(
    ("state", "demand", "reason"),
    [
        (state(1000, 400), ask(1, 1000), None),
        (state(1000, 400), ask(2, 400), None),
        (state(1000, 400), ask(0, 0), None),
        (state(), ask(0, 0), None),
        (state(1000, 400), ask(2, 500), "1 of 2 GPUs have enough left"),
        (state(600, 600), ask(1, 700), "0 of 1 GPUs have enough left"),
        (state(1000, cpu=999), ask(1, 500), "lacks CPU"),
        (state(1000, memory=9), ask(1, 500), "lacks memory"),
        (state(), ask(1, 500), "has no GPU"),
        (state(1000), ask(1, 500, gpu_models=frozenset({"H100"})), "GPU model differs"),
        (state(1000), ask(1, 500, gpu_models=frozenset({"H100", "T4"})), None),
        (state(1000, ready=False), ask(1, 500), "not Ready"),
        (state(1000, unschedulable=True), ask(1, 500), "cordoned"),
    ],
)
def test_a_node_says_why_not(state, demand, reason):
    assert objection(state, demand) == reason
    assert can_run(state, demand) is (reason is None)


def test_memory_of_a_gpu_counts_where_it_is_tracked():
    tracked = replace(state(1000, 1000), gpu_memory_mib_free=(2000, 8000))
    assert fitting_gpus(tracked, ask(1, 0, gpu_memory_mib=4000)) == (1,)
    assert fitting_gpus(state(1000, 1000), ask(1, 0, gpu_memory_mib=4000)) == (0, 1)


def test_an_unhealthy_gpu_takes_nothing():
    node = Node("n", 8000, 1000, (Gpu(0, "T4", 1, healthy=False), Gpu(1, "T4", 1)))
    assert fitting_gpus(NodeState.empty(node), Demand(gpus=1, gpu_milli=1000)) == (1,)
    assert fitting_gpus(NodeState(node, 1, 1, (1000, 1000)), Demand(gpus=1, gpu_milli=0)) == (1,)


def test_objections_are_counted_over_nodes():
    states = [state(0), state(100), state(1000, cpu=0), state(1000)]
    wanted = {"0 of 1 GPUs have enough left": 2, "lacks CPU": 1}
    assert objections(states, ask(1, 500)) == wanted


ONE, HALF, CPU_ONLY = ask(1, 1000), ask(1, 500), ask(0, 0)


@pytest.mark.parametrize(
    ("state", "pods", "milli"),
    [
        (state(1000, 300), [(HALF, 1.0)], 300),
        (state(1000, 300), [(ONE, 1.0)], 300),
        (state(400, 300), [(HALF, 1.0)], 700),
        (state(1000, 300), [(CPU_ONLY, 1.0)], 1300),
        (state(1000, 300, cpu=0), [(HALF, 1.0)], 1300),
        (state(1000, 300, memory=0), [(HALF, 1.0)], 300),
        (state(1000, 300), [(ask(2, 300), 1.0)], 0),
        (state(1000, 300), [(ask(2, 400), 1.0)], 1300),
        (state(1000, 300), [(replace(HALF, gpu_models=frozenset({"H100"})), 1.0)], 1300),
        (state(1000, 300), [(HALF, 0.75), (CPU_ONLY, 0.25)], 0.75 * 300 + 0.25 * 1300),
        (state(1000, 1000), [(ONE, 1.0)], 0),
        (state(0, 0), [(ONE, 1.0)], 0),
    ],
)
def test_fragmentation_by_hand(state, pods, milli):
    typical = [TypicalPod(demand, share) for demand, share in pods]
    assert fragmentation(state, typical) == pytest.approx(milli)


states = st.builds(
    lambda left, cpu: state(*left, cpu=cpu),
    st.lists(st.integers(0, 1000), max_size=8),
    st.integers(0, 8000),
)
demands = st.one_of(
    st.builds(lambda milli, cpu: ask(1, milli, cpu), st.integers(1, 1000), st.integers(0, 9000)),
    st.builds(lambda gpus, cpu: ask(gpus, 1000, cpu), st.integers(1, 8), st.integers(0, 9000)),
    st.builds(lambda cpu: ask(0, 0, cpu), st.integers(0, 9000)),
)


@given(states, st.lists(demands, min_size=1, max_size=6))
def test_fragmentation_is_part_of_what_is_idle(state, asked):
    typical = [TypicalPod(demand, 1 / len(asked)) for demand in asked]
    assert 0 <= fragmentation(state, typical) <= state.total_gpu_milli_free + 1e-6


@given(states, demands, st.randoms())
def test_the_order_of_gpus_does_not_matter(state, demand, random):
    left = list(state.gpu_milli_free)
    random.shuffle(left)
    turned = replace(state, gpu_milli_free=tuple(left))
    typical = [TypicalPod(demand, 1.0)]
    assert fragmentation(turned, typical) == fragmentation(state, typical)
    assert can_run(turned, demand) is can_run(state, demand)


@given(states, demands)
def test_a_pod_that_cannot_run_finds_all_useless(state, demand):
    if not can_run(state, replace(demand, memory_mib=0)):
        assert fragmentation(state, [TypicalPod(demand, 1.0)]) == state.total_gpu_milli_free


def test_typical_pods_are_the_commonest_shapes():
    demands = [ONE] * 60 + [HALF] * 36 + [CPU_ONLY] * 3 + [ask(8, 1000)]
    assert typical_pods(demands) == (
        TypicalPod(ask(1, 1000, memory=0), 60 / 96),
        TypicalPod(ask(1, 500, memory=0), 36 / 96),
    )


def test_ties_go_to_the_larger_shape():
    assert [pod.demand.gpu_milli for pod in typical_pods([HALF, ONE], share=0.5)] == [1000]


def test_shapes_differ_by_model_and_not_by_memory():
    asked = [replace(ONE, memory_mib=memory) for memory in (1, 2)]
    assert len(typical_pods(asked)) == 1
    assert len(typical_pods([ONE, replace(ONE, gpu_models=frozenset({"T4"}))], share=1.0)) == 2
