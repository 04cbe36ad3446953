"""Let pods arrive on a cluster, and look on while its scheduler places them. Does I/O through the cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lablib.cluster.client import Cluster, Listing
from lablib.cluster.convert import pod_manifest
from lablib.cluster.wait import wait_until
from lablib.scheduling.model import PENDING, Pod

BATCH: Final = 20
PATIENCE_SECONDS: Final = 60.0


def arrive(
    cluster: Cluster,
    pods: Sequence[Pod],
    *,
    look: Callable[[Listing], None] = lambda _: None,
    enough: Callable[[Listing], bool] = lambda _: False,
    batch: int = BATCH,
) -> Listing:
    """Create pods, a batch at a time; go on once the scheduler has bound or declined each.

    Args:
        cluster: whose scheduler is to place them.
        pods: in the order in which they arrive.
        look: called with what the cluster holds after each batch.
        enough: asked after each batch; arrivals end when it says True.
        batch: how many arrive at once.

    Returns:
        The cluster after the last batch.

    Raises:
        TimedOut: the scheduler has not answered in PATIENCE_SECONDS.
    """
    listing = cluster.list()
    for first in range(0, len(pods), batch):
        arriving = pods[first : first + batch]
        for pod in arriving:
            cluster.create(pod_manifest(pod))
        listing = wait_until(
            cluster,
            _answered(arriving),
            timeout_seconds=PATIENCE_SECONDS,
            what="the scheduler to bind or decline each pod",
        )
        look(listing)
        if enough(listing):
            break
    return listing


def _answered(pods: Sequence[Pod]) -> Callable[[Listing], bool]:
    """Whether each of the pods is bound, or is told why not."""
    names = {(pod.namespace, pod.name) for pod in pods}

    def ask(listing: Listing) -> bool:
        answered = {
            (pod.namespace, pod.name)
            for pod in listing.pods
            if pod.node is not None or pod.phase != PENDING or pod.reason
        }
        return names <= answered

    return ask
