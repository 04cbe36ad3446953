"""Which cluster a lab runs on: the embedded one, or the one that LAB_KUBECONFIG names. Does I/O."""

from __future__ import annotations

from collections.abc import Iterable

from lablib.cluster.embedded import EmbeddedCluster
from lablib.cluster.existing import ExistingCluster
from lablib.cluster.pools import NodePool
from lablib.settings import Settings


def open_cluster(
    name: str, pools: Iterable[NodePool] | None = None, *, run_pods: bool = False
) -> EmbeddedCluster | ExistingCluster:
    """A cluster for a notebook; call its `up`. The embedded one ends with this process.

    Args:
        name: of the embedded cluster.
        pools: its nodes; an existing cluster has nodes of its own.
        run_pods: run pods annotated lab/run as local processes.
    """
    kubeconfig = Settings().kubeconfig
    if kubeconfig is not None:
        return ExistingCluster(kubeconfig)
    return EmbeddedCluster(name, pools, run_pods=run_pods)
