"""The seam between the labs and a cluster: one protocol, two implementations.

`MemoryCluster` (memory.py) is a small fake that keeps the API server's promises; `KubernetesCluster`
(kubernetes.py) talks to a real one. Both pass tests/cluster/test_contract.py. Values in, values out; the
errors are those of lablib.errors.ClusterError. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lablib.gpu.device import Node
from lablib.scheduling.model import Pod

Manifest = Mapping[str, Any]
"""An API object as YAML or JSON gives it."""


@dataclass(frozen=True)
class Listing:
    """The pods and nodes at one version; watch on from there."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    version: str


@dataclass(frozen=True)
class PodEvent:
    """One change of one pod."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    pod: Pod
    version: str


class Cluster(Protocol):
    """What labs and controllers ask of a cluster."""

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, by name."""
        ...

    def pods(self, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Pod, ...]:
        """Pods of one namespace or of all, that carry all `labels`; by namespace and name."""
        ...

    def list(self) -> Listing:
        """Nodes and pods, and a version that `watch` takes."""
        ...

    def watch(self, version: str, timeout_seconds: float) -> Iterator[PodEvent]:
        """Changes of pods after `version`, in order, until the time is up.

        Raises:
            Gone: the version is too old: list again.
        """
        ...

    def create(self, manifest: Manifest) -> None:
        """Create any object.

        Raises:
            Conflict: there is one of that kind and name.
            Forbidden: quota, role or admission policy.
            Invalid: the object breaks a rule of its kind.
        """
        ...

    def bind(self, pod: Pod, node: str, annotations: Mapping[str, str] | None = None) -> None:
        """Assign a pod to a node and merge annotations into it, in one atomic step.

        Raises:
            Conflict: it is bound already, or being deleted, or is another pod of the same name.
            NotFound: no such pod.
        """
        ...

    def evict(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Ask the pod to go, honouring disruption budgets.

        Raises:
            TooManyRequests: a budget forbids it for now.
            NotFound: it is gone.
        """
        ...

    def delete_pod(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Delete a pod whatever the budgets say; NotFound when it is gone."""
        ...

    def cordon(self, node: str, *, on: bool = True) -> None:
        """Forbid (or allow again) new pods on a node."""
        ...

    def label(self, node: str, labels: Mapping[str, str | None]) -> None:
        """Set labels of a node; None removes one."""
        ...
