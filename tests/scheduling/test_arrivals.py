"""Pods arrive in batches, and the real scheduler answers on each."""

import pytest

from lablib.cluster.embedded import EmbeddedCluster
from lablib.scheduling.arrivals import arrive
from lablib.scheduling.model import Pod


@pytest.fixture
def client(embedded: EmbeddedCluster):
    with embedded.client() as client:
        yield client
        client.remove_managed({"lab/test": "arrivals"})


def pods(count, gpus=1, name="pod"):
    labels = {"lab/test": "arrivals"}
    return [
        Pod(f"{name}-{number}", labels=labels, resources={"nvidia.com/gpu": gpus}) for number in range(count)
    ]


def ours(listing):
    return [pod for pod in listing.pods if pod.labels.get("lab/test") == "arrivals"]


def test_all_are_answered_and_every_batch_is_shown(client):
    seen = []
    listing = arrive(client, pods(7), look=lambda listing: seen.append(len(ours(listing))), batch=3)
    assert seen == [3, 6, 7]
    assert all(pod.node for pod in ours(listing))


def test_it_ends_when_there_is_enough_and_knows_why_a_pod_waits(client):
    too_large = pods(4, gpus=9, name="large")
    listing = arrive(
        client, too_large, enough=lambda listing: any(pod.reason for pod in ours(listing)), batch=2
    )
    (first, second) = ours(listing)
    assert first.node is None
    assert "Insufficient nvidia.com/gpu" in second.reason
