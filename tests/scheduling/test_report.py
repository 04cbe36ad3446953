"""Who holds which GPU, and where the GPUs of a cluster go."""

import pytest

from lablib.gpu.device import Gpu, Node
from lablib.scheduling.fragmentation import TypicalPod
from lablib.scheduling.model import PENDING, RUNNING, SUCCEEDED, Demand, Pod
from lablib.scheduling.report import AllocationReport, allocation_report, assign, stranded_milli

GPUS = tuple(Gpu(index, "T4", 16000) for index in range(2))
NODE = Node("n", 8000, 1000, GPUS)
TYPICAL = (TypicalPod(Demand(1000, gpus=1, gpu_milli=500), 1.0),)


def shared(name, milli, node="n", phase=RUNNING, at=0.0, **annotations):
    notes = {"alibabacloud.com/gpu-milli": str(milli)} | {
        f"lab/{key.replace('_', '-')}": value for key, value in annotations.items()
    }
    return Pod(name, annotations=notes, cpu_milli=1000, node=node, phase=phase, created_seconds=at)


def whole(name, gpus=1, node="n", phase=RUNNING, at=0.0):
    return Pod(
        name,
        cpu_milli=1000,
        resources={"nvidia.com/gpu": gpus},
        node=node,
        phase=phase,
        created_seconds=at,
    )


def held(pods, nodes=(NODE,)):
    return {holding.pod.name: holding.gpus for holding in assign(nodes, pods).holdings}


def test_a_shared_gpu_goes_to_the_fullest_that_fits():
    pods = [shared("a", 600, at=1), shared("b", 300, at=2), shared("c", 200, at=3)]
    assert held(pods) == {"a": (0,), "b": (0,), "c": (1,)}


def test_the_order_in_which_pods_were_made_counts():
    pods = [shared("late", 600, at=2), shared("early", 700, at=1)]
    assert held(pods) == {"early": (0,), "late": (1,)}


def test_a_whole_gpu_is_the_lowest_free_one():
    assert held([shared("a", 100, at=1), whole("b", at=2)]) == {"a": (0,), "b": (1,)}


def test_a_pod_that_the_count_let_in_and_no_gpu_fits_is_refused():
    pods = [shared("a", 600, at=1), shared("b", 600, at=2), shared("c", 700, at=3)]
    assignment = assign([NODE], pods)
    assert [holding.pod.name for holding in assignment.holdings if holding.refused] == ["c"]
    assert assignment.snapshot.nodes[0].gpu_milli_free == (400, 400)
    assert assignment.snapshot.nodes[0].cpu_milli_free == 5000


def test_a_choice_that_is_written_down_is_kept():
    assert held([shared("a", 100, gpu_index="1")]) == {"a": (1,)}


def test_who_ended_or_waits_holds_nothing():
    pods = [whole("done", phase=SUCCEEDED), whole("waits", node=None, phase=PENDING), whole("else", node="x")]
    assert held(pods) == {}


def test_the_report_tells_allocated_used_stranded_and_why_pods_wait():
    pods = [
        shared("a", 600, at=1, gpu_utilization="0.5"),
        whole("b", at=2),
        whole("c", node=None, phase=PENDING),
    ]
    assert allocation_report(assign([NODE], pods), pods, TYPICAL) == AllocationReport(
        capacity_milli=2000,
        allocated_milli=1600,
        used_milli=1300.0,
        stranded_milli=400,
        waiting={"c": {"0 of 1 GPUs have enough left": 1}},
    )


def test_a_refused_pod_uses_nothing():
    pods = [shared("a", 600, at=1), shared("b", 600, at=2), shared("c", 700, at=3)]
    report = allocation_report(assign([NODE], pods), pods, TYPICAL)
    assert (report.allocated_milli, report.used_milli) == (1200, 1200)


def test_an_unhealthy_gpu_is_no_capacity():
    node = Node("n", 8000, 1000, (GPUS[0], Gpu(1, "T4", 16000, healthy=False)))
    report = allocation_report(assign([node], []), [], TYPICAL)
    assert (report.capacity_milli, report.allocated_milli, report.stranded_milli) == (1000, 0, 0)


@pytest.mark.parametrize(("cpu", "stranded"), [(8000, 0), (500, 2000)])
def test_gpus_without_cpu_beside_them_are_stranded(cpu, stranded):
    (state,) = assign([Node("n", cpu, 1000, GPUS)], []).snapshot.nodes
    assert stranded_milli(state, TYPICAL) == stranded


def test_a_report_without_gpus_divides_by_nothing():
    report = allocation_report(assign([], []), [], TYPICAL)
    assert (report.allocated, report.used, report.stranded) == (0, 0, 0)


def test_the_report_reads_as_text():
    pods = [shared("a", 600, at=1), whole("c", gpus=2, node=None, phase=PENDING)]
    text = str(allocation_report(assign([NODE], pods), pods, TYPICAL))
    assert "allocated     0.6 GPUs  30.0%" in text
    assert "c waits: 1 of 2 GPUs have enough left on 1 nodes" in text
