"""The seam between the labs and a cluster: one protocol, two implementations.

`MemoryCluster` (memory.py) is a small fake that keeps the API server's promises; `KubernetesCluster`
(kubernetes.py) talks to a real one. Both pass tests/cluster/test_contract.py. Values in, values out; the
errors are those of lablib.errors.ClusterError. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from lablib.gpu.device import Node
from lablib.scheduling.model import Pod

Manifest = Mapping[str, Any]
"""An API object as YAML or JSON gives it."""

MANAGED: Final = "lab/managed"
"""Label, of value "true", on every object that the lab made."""


@dataclass(frozen=True)
class Listing:
    """The pods and nodes at one version; watch on from there."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    version: str

    def after(self, event: PodEvent) -> Listing:
        """The same one change later."""
        key = (event.pod.namespace, event.pod.name)
        pods = {(pod.namespace, pod.name): pod for pod in self.pods}
        pods.pop(key, None)
        if event.kind != "DELETED":
            pods[key] = event.pod
        return replace(self, pods=tuple(pods[key] for key in sorted(pods)), version=event.version)


@dataclass(frozen=True)
class PodEvent:
    """One change of one pod."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    pod: Pod
    version: str


@dataclass(frozen=True)
class Event:
    """What a component has said about an object."""

    reason: str
    """One word: "FailedScheduling"."""
    message: str
    warning: bool = False
    count: int = 1
    """How often it was said."""
    last_seconds: float = 0.0
    """When it was last said, Unix time."""


class Cluster(Protocol):
    """What labs and controllers ask of a cluster.

    A method whose answer is a pod or a node raises NotFound when there is none, and any method
    Unreachable when nobody answers and Forbidden when a role says no.
    """

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, by name."""
        ...

    def pods(self, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Pod, ...]:
        """Pods of one namespace or of all, that carry all `labels`; by namespace and name."""
        ...

    def pod(self, name: str, namespace: str = "default") -> Pod:
        """One pod."""
        ...

    def list(self) -> Listing:
        """Nodes and pods as they were at one moment, and a version that `watch` takes."""
        ...

    def watch(self, version: str, timeout_seconds: float) -> Iterator[PodEvent]:
        """Changes of pods after `version`, in order, each once, until the time is up.

        An event's own version goes on from there: watch(event.version, ...). A pod that is deleted is
        first MODIFIED, `deleting`, then DELETED.

        Raises:
            Gone: the version is too old: list again.
        """
        ...

    def events(self, pod: Pod) -> tuple[Event, ...]:
        """What components have said about this pod, oldest first; not about a namesake."""
        ...

    def logs(self, pod: Pod, container: str | None = None, tail_lines: int | None = None) -> str:
        """What a container of the pod has printed, its only one if `container` is None.

        Nothing while the pod waits to be bound.

        Raises:
            Invalid: it has no such container, or several and none was named.
        """
        ...

    def create(self, manifest: Manifest) -> None:
        """Create any object, and label it lab/managed=true. Its namespace is "default" unless it says.

        Raises:
            Conflict: there is one of that kind and name.
            Forbidden: quota, role or admission policy.
            Invalid: the object breaks a rule of its kind.
            NotFound: no such namespace or kind.
        """
        ...

    def read(self, manifest: Manifest) -> Manifest:
        """The object of that apiVersion, kind, name and namespace as the cluster has it now."""
        ...

    def delete(self, manifest: Manifest) -> None:
        """Delete the object of that apiVersion, kind, name and namespace, and what it owns."""
        ...

    def remove_managed(self, labels: Mapping[str, str] | None = None, timeout_seconds: float = 60.0) -> int:
        """Delete what is labelled lab/managed=true and `labels`, and nothing else; how many there were.

        Pods go first and are waited for, nodes after them, since a pod ends on its node.

        Raises:
            TimedOut: a pod does not end.
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
        """Ask the pod to go, honouring disruption budgets once their status is there.

        Raises:
            TooManyRequests: a budget forbids it for now.
            NotFound: it is gone, even if another has its name.
        """
        ...

    def delete_pod(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Delete a pod whatever the budgets say.

        Raises:
            NotFound: it is gone, even if another has its name.
        """
        ...

    def cordon(self, node: str, *, on: bool = True) -> None:
        """Forbid (or allow again) new pods on a node."""
        ...

    def label(self, node: str, labels: Mapping[str, str | None]) -> None:
        """Set labels of a node; None removes one.

        Raises:
            Invalid: a key or value is no label.
        """
        ...

    def mark_unhealthy(self, node: str, gpus: Collection[int]) -> None:
        """Report exactly these GPUs of a node as unhealthy, as a device plugin does; () heals all.

        On a node with a device plugin of its own, that plugin soon writes its own view over it.

        Raises:
            Invalid: the node has no GPU of such an index.
        """
        ...
