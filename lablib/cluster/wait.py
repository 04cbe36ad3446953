"""Wait for something to become true of a cluster: watch, and look again. Does no I/O of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lablib.clock import Clock, SystemClock
from lablib.cluster.client import Cluster, Listing
from lablib.errors import Gone, TimedOut

RELIST_SECONDS: Final = 1.0
"""A watch tells of pods only: nodes are looked at this often."""


def wait_until(
    cluster: Cluster,
    predicate: Callable[[Listing], bool],
    *,
    timeout_seconds: float = 60.0,
    what: str = "the expected state",
    clock: Clock | None = None,
) -> Listing:
    """The first listing of which `predicate` is true; it is asked after every change of a pod.

    `what` completes "waited for ..." in the error.

    Raises:
        TimedOut: it was false for `timeout_seconds`.
    """
    clock = clock or SystemClock()
    deadline = clock.now() + timeout_seconds
    while True:
        for listing in _follow(cluster, min(RELIST_SECONDS, deadline - clock.now())):
            if predicate(listing):
                return listing
        if clock.now() >= deadline:
            raise TimedOut(
                f"waited {timeout_seconds:g} s for {what}",
                remedy="Look at `lablib cluster status` and at the events of the pods concerned.",
            )


def _follow(cluster: Cluster, seconds: float) -> Iterator[Listing]:
    listing = cluster.list()
    yield listing
    try:
        for event in cluster.watch(listing.version, seconds):
            listing = listing.after(event)
            yield listing
    except Gone:
        return  # the caller lists again
