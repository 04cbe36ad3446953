"""Node pools give nodes that look like real ones."""

import pytest

from lablib.cluster.client import MANAGED
from lablib.cluster.convert import node_from, node_manifest
from lablib.cluster.pools import NODES_PER_RACK, NodePool, lab_node, pool_nodes
from lablib.errors import LabError
from lablib.gpu.device import Gpu, Node
from lablib.gpu.models import MODELS


def test_a_pool_has_the_labels_of_feature_discovery():
    (node,) = pool_nodes([NodePool("H100", nodes=1)])
    assert node.name == "h100-000"
    assert [gpu.model for gpu in node.gpus] == ["H100"] * 8
    assert node.resources == {"nvidia.com/gpu": 8, "lab/gpu-milli": 8000}
    wanted = {
        MANAGED: "true",
        "nvidia.com/gpu.product": MODELS["H100"].product,
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": str(MODELS["H100"].memory_mib),
        "nvidia.com/gpu.family": "hopper",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/gpu.compute.major": "9",
        "kubernetes.io/hostname": "h100-000",
    }
    assert wanted.items() <= node.labels.items()


def test_racks_are_spread_over_zones():
    nodes = list(pool_nodes([NodePool("T4", nodes=3 * NODES_PER_RACK, gpus=4, zones=("a", "b"))]))
    zones = [node.labels["topology.kubernetes.io/zone"] for node in nodes]
    racks = [node.labels["topology.lab/rack"] for node in nodes]
    assert [zones[number] for number in (0, NODES_PER_RACK, 2 * NODES_PER_RACK)] == ["a", "b", "a"]
    assert len(set(racks)) == 3
    assert {racks.count(rack) for rack in racks} == {NODES_PER_RACK}


def test_nodes_without_gpus_report_none():
    (node,) = pool_nodes([NodePool("", nodes=1)])
    assert node.name == "cpu-000"
    assert node.gpus == ()
    assert not any("nvidia" in key for key in [*node.labels, *node.resources])


@pytest.mark.parametrize("model", sorted(MODELS))
def test_an_api_server_gives_back_the_node_that_it_got(model):
    (node,) = pool_nodes([NodePool(model, nodes=1, gpus=2)])
    assert node_from(node_manifest(node)) == node


def test_an_unhealthy_gpu_does_not_count():
    gpus = (Gpu(0, "A10", 23028), Gpu(1, "A10", 23028, healthy=False))
    node = lab_node(Node("n", 1000, 1000, gpus, {"mine": "stays"}))
    assert node.resources == {"nvidia.com/gpu": 1, "lab/gpu-milli": 1000}
    assert node.labels["mine"] == "stays"


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([NodePool("H1000", nodes=1)], "no GPU model H1000"),
        ([NodePool("T4", nodes=1), NodePool("T4", nodes=1)], "Two node pools of model T4"),
        ([NodePool("T4", nodes=-1)], "-1 nodes"),
        ([NodePool("T4", nodes=1, gpus=0)], "0 GPUs"),
        ([NodePool("T4", nodes=1, zones=())], "no zone"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(pools, message):
    with pytest.raises(LabError, match=message):
        list(pool_nodes(pools))
