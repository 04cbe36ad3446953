"""Generated traces look like openb; loaded ones are checked to the cell."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lablib.errors import TraceError
from lablib.scheduling.demand import gpu_demand
from lablib.scheduling.fragmentation import typical_pods
from lablib.scheduling.openb import NODE_FILE, POD_FILE, load, open_trace
from lablib.scheduling.trace import as_pod, asking_whole, generate, trace_node
from lablib.settings import REPOSITORY

OPENB = Path(os.environ.get("LAB_TRACE_DIR", REPOSITORY.parent / "shared" / "traces" / "openb"))
needs_openb = pytest.mark.skipif(not OPENB.exists(), reason="LAB_TRACE_DIR names no openb trace")

NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,2,P100\n"
COLUMNS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time"
)
POD = "p0,6000,12288,1,460,,LS,Running,5,90,5"


def trace(seed=0, **fields):
    return generate(np.random.default_rng(seed), **fields)


def shares(counts):
    return {key: count / counts.total() for key, count in counts.items()}


def distance(left, right):
    """Total variation between two distributions, 0 to 1."""
    left, right = shares(left), shares(right)
    return sum(abs(left.get(key, 0) - right.get(key, 0)) for key in left.keys() | right.keys()) / 2


def test_the_same_seed_gives_the_same_trace():
    assert trace(7) == trace(7)
    assert trace(7).pods != trace(8).pods


def test_load_is_reached_and_no_more():
    made = trace(nodes=60, load=1.0)
    assert len(made.nodes) == 60
    assert made.requested_milli >= made.capacity_milli
    assert made.requested_milli - made.pods[-1].demand.total_gpu_milli < made.capacity_milli


@pytest.mark.parametrize("fields", [{"nodes": 0}, {"load": 0}, {"load": -1}])
def test_a_trace_of_nothing_is_refused(fields):
    with pytest.raises(TraceError, match="at load"):
        trace(**fields)


@needs_openb
def test_generated_pods_have_openbs_marginals():
    real, made = load(OPENB).pods, trace(nodes=1213, load=1.0).pods
    for shape, bound in (
        (lambda demand: (demand.gpus, demand.gpu_milli), 0.03),
        (lambda demand: demand.cpu_milli, 0.06),
        (lambda demand: demand.memory_mib, 0.06),
        (lambda demand: (demand.gpus, demand.gpu_milli, demand.cpu_milli, demand.memory_mib), 0.09),
    ):
        assert distance(*(Counter(shape(pod.demand) for pod in pods) for pods in (real, made))) < bound


@needs_openb
def test_generated_nodes_have_openbs_kinds():
    def kinds(nodes):
        return Counter((node.model, len(node.gpus), node.cpu_milli, node.memory_mib) for node in nodes)

    assert kinds(trace(nodes=1213).nodes) == kinds(load(OPENB).nodes)
    assert distance(kinds(trace(nodes=60).nodes), kinds(load(OPENB).nodes)) < 0.05


@needs_openb
def test_openb_has_35_typical_shapes():
    typical = typical_pods(pod.demand for pod in load(OPENB).pods)
    assert len(typical) == 35
    kinds = {"cpu": 0.0, "shared": 0.0, "one": 0.0, "many": 0.0}
    for pod in typical:
        demand = pod.demand
        kind = "cpu" if not demand.gpus else "many" if demand.gpus > 1 else "one"
        kinds["shared" if kind == "one" and demand.gpu_milli < 1000 else kind] += pod.share
    assert {kind: round(100 * share, 1) for kind, share in kinds.items()} == {
        "cpu": 13.6,
        "shared": 37.3,
        "one": 49.1,
        "many": 0.0,
    }


def test_a_pod_on_the_cluster_asks_what_the_trace_says():
    for pod in trace(load=0.5).pods:
        wanted = as_pod(pod, 0.25)
        assert gpu_demand(wanted) == pod.demand
        assert wanted.resources.get("lab/gpu-milli", 0) == pod.demand.total_gpu_milli


def test_asking_whole_changes_the_share_alone():
    for pod in trace(load=0.5).pods:
        whole = asking_whole(pod).demand
        assert (whole.gpus, whole.cpu_milli) == (pod.demand.gpus, pod.demand.cpu_milli)
        assert whole.gpu_milli == (1000 if whole.gpus else 0)


def write(folder, pods=f"{COLUMNS}\n{POD}\n", nodes=NODES):
    for name, content in ((POD_FILE, pods), (NODE_FILE, nodes)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize(
    "change", [lambda text: text, lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n")]
)
def test_a_file_loads_with_or_without_mark_and_carriage_returns(tmp_path, change):
    made = load(write(tmp_path, change(f"{COLUMNS}\n{POD}\n"), change(NODES)))
    (pod,) = made.pods
    assert (pod.name, pod.demand.gpu_milli, pod.created_seconds, pod.deleted_seconds) == ("p0", 460, 5, 90)
    assert made.nodes == (trace_node("n0", 64000, 262144, 2, "P100"),)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("p0,6000,12288,9,1000,,LS,Running,5,90,5", "num_gpu is '9'; expected a whole number, 0 to 8"),
        (
            "p0,6000,12288,1,1001,,LS,Running,5,90,5",
            "gpu_milli is '1001'; expected a whole number, 1 to 1000",
        ),
        ("p0,6000,12288,1,0,,LS,Running,5,90,5", "gpu_milli is '0'"),
        ("p0,nan,12288,1,500,,LS,Running,5,90,5", "cpu_milli is 'nan'"),
        ("p0,-1,12288,1,500,,LS,Running,5,90,5", "cpu_milli is '-1'"),
        ("p0,6000,1.5,1,500,,LS,Running,5,90,5", "memory_mib is '1.5'"),
        (
            "p0,6000,12288,1,500,H9,LS,Running,5,90,5",
            "gpu_spec is 'H9'; expected models that a node has: P100",
        ),
        ("p0,6000,12288,1,500,,LS,Running,5,4,5", "deletion_time is '4'"),
        ("p0,6000,12288,1", "gpu_milli is nothing: the row ends before it"),
        (f"{POD},surplus", "1 cells too many"),
        (f"{POD}\n{POD}", "'p0' is there twice"),
    ],
)
def test_a_damaged_row_is_named_to_the_cell(tmp_path, row, words):
    with pytest.raises(TraceError) as caught:
        load(write(tmp_path, f"{COLUMNS}\n{row}\n"))
    assert words in caught.value.what
    assert POD_FILE in caught.value.where


def test_row_and_column_are_named(tmp_path):
    with pytest.raises(TraceError) as caught:
        load(write(tmp_path, f"{COLUMNS}\n{POD}\n{POD.replace('460', 'x').replace('p0', 'p1')}\n"))
    assert caught.value.where.endswith("row 3, column gpu_milli")


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ("", "no rows"),
        (f"{COLUMNS}\n", "no rows"),
        ("name,cpu_milli\np0,5\n", "column num_gpu is missing"),
        (b"\xff\xfe\x00", "not text"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, pods, words):
    with pytest.raises(TraceError, match=words):
        load(write(tmp_path, pods))


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(TraceError, match="can't be read") as caught:
        load(tmp_path / "nowhere")
    assert "LAB_TRACE_DIR" in caught.value.remedy
    (tmp_path / NODE_FILE).mkdir()
    with pytest.raises(TraceError, match="can't be read"):
        load(tmp_path)


@needs_openb
def test_the_named_trace_is_drawn_from_and_else_one_is_generated():
    assert open_trace(np.random.default_rng(1), 60, 1.1) == trace(1, nodes=60, load=1.1)
    real = open_trace(np.random.default_rng(1), 60, 1.1, OPENB)
    assert len(real.nodes) == 60
    assert all(pod.name.startswith("openb-pod") for pod in real.pods)
    assert 1.1 <= real.requested_milli / real.capacity_milli < 1.15
