"""A cluster in memory that keeps the API server's promises. Does no I/O.

It keeps what client.py's docstrings say, and the same contract tests hold it to that: conflicts, versions and
watches that expire, quotas, disruption budgets, finalizers, atomic binds. It knows no roles and no admission
policies, and it schedules nothing.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from lablib.clock import Clock, SystemClock
from lablib.cluster.client import MANAGED, Event, Listing, Manifest, PodEvent
from lablib.cluster.convert import event_from, node_manifest, pod_from, pod_manifest, unhealthy_patch
from lablib.cluster.fields import fields_of, time_text
from lablib.cluster.rules import (
    budget_status,
    check_labels,
    check_object,
    check_quota,
    merged,
    quota_status,
)
from lablib.cluster.store import Key, Store, key_of
from lablib.errors import ClusterError, Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from lablib.gpu.device import Node
from lablib.scheduling.model import PENDING, RUNNING, Pod

POLL_SECONDS: Final = 0.01
NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")


class MemoryCluster:
    """A `Cluster` for simulators and tests; several threads may use it.

    Args:
        nodes: there from the start.
        pods: there from the start, as they are: bound, running, with any priority.
        clock: what watches wait by; times are counted from its origin.
        runs_pods: play the kubelet as KWOK does: a bound pod runs and a deleted one ends, both at once.
            Otherwise `report` and `finish` are the kubelet.
        history: changes of pods that are remembered; a watch from before them is Gone.
    """

    def __init__(
        self,
        nodes: Iterable[Node] = (),
        pods: Iterable[Pod] = (),
        *,
        clock: Clock | None = None,
        runs_pods: bool = True,
        history: int = 1000,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._runs_pods = runs_pods
        self._lock = threading.RLock()
        self._store = Store(history)
        self._printed: dict[tuple[str, str], str] = {}  # by uid and container
        for name in NAMESPACES:
            self._create_namespace({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for manifest in [*map(node_manifest, nodes), *map(pod_manifest, pods)]:
            self._write_new(manifest)

    # Reading

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, by name."""
        with self._lock:
            return self._store.nodes()

    def pods(self, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Pod, ...]:
        """Pods by namespace and name."""
        wanted = (labels or {}).items()
        with self._lock:
            found = [pod for pod in self._store.pods() if namespace in (None, pod.namespace)]
        return tuple(pod for pod in found if wanted <= pod.labels.items())

    def pod(self, name: str, namespace: str = "default") -> Pod:
        """One pod."""
        with self._lock:
            return self._store.pod(Key("Pod", namespace, name))

    def list(self) -> Listing:
        """Everything at one version."""
        with self._lock:
            return Listing(self._store.nodes(), self._store.pods(), str(self._store.version))

    def watch(self, version: str, timeout_seconds: float) -> Iterator[PodEvent]:
        """Changes of pods after `version`."""
        if not version.isdecimal():
            raise Invalid(f"{version!r} is no version", remedy="Take the version of a Listing.")
        seen, deadline = int(version), self._clock.now() + timeout_seconds
        while (left := deadline - self._clock.now()) > 0:
            with self._lock:
                events = self._store.changes(seen)
            for event in events:
                seen = int(event.version)
                yield event
            if not events:
                self._clock.sleep(min(POLL_SECONDS, left))

    def events(self, pod: Pod) -> tuple[Event, ...]:
        """Events that name the pod's uid."""
        with self._lock:
            manifests = self._store.manifests("Event", pod.namespace)
        about = [m for m in manifests if fields_of(m).part("involvedObject").text("uid") == pod.uid]
        return tuple(sorted(map(event_from, about), key=lambda event: event.last_seconds))

    def logs(self, pod: Pod, container: str | None = None, tail_lines: int | None = None) -> str:
        """What `print_log` wrote."""
        with self._lock:
            self._same(pod)
            top = fields_of(self._store[_pod_key(pod)].manifest)
            printed = dict(self._printed)
        names = [part.text("name") for part in top.part("spec").items("containers")]
        if container is None and len(names) > 1:
            raise top.refusal(f"a container name must be specified, one of {', '.join(names)}")
        if container is not None and container not in names:
            raise top.refusal(f"container {container} is not valid for pod {pod.name}")
        lines = printed.get((pod.uid, container or names[0]), "").splitlines(keepends=True)
        return "".join(lines if tail_lines is None else lines[max(len(lines) - tail_lines, 0) :])

    def read(self, manifest: Manifest) -> Manifest:
        """A copy of the object, the status of budgets and quotas included."""
        key = key_of(manifest)
        with self._lock:
            found: dict[str, Any] = copy.deepcopy(dict(self._store[key].manifest))
            pods = self.pods(key.namespace)
        if key.kind == "PodDisruptionBudget":
            found["status"] = budget_status(found, pods)
        if key.kind == "ResourceQuota":
            found["status"] = quota_status(found, pods)
        return found

    # Writing

    def create(self, manifest: Manifest) -> None:
        """Create any object, after the API server's checks."""
        check_object(manifest)
        labelled = merged(copy.deepcopy(dict(manifest)), {"metadata": {"labels": {MANAGED: "true"}}})
        key = key_of(labelled)
        with self._lock:
            if key.namespace and Key("Namespace", "", key.namespace) not in self._store:
                raise NotFound(f'namespaces "{key.namespace}" not found', where=str(key))
            if key in self._store:
                raise Conflict(f"{key} already exists", where=str(key))
            if key.kind == "Namespace":
                self._create_namespace(labelled)
            else:
                self._write_new(self._admitted(key, labelled))
                self._start(key)

    def delete(self, manifest: Manifest) -> None:
        """Delete an object, what it owns, and if it is a namespace what is in it."""
        with self._lock:
            self._delete(key_of(manifest), None)

    def remove_managed(
        self,
        labels: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,  # noqa: ARG002
    ) -> int:
        """Delete what carries the labels."""
        wanted = {MANAGED: "true"} | dict(labels or {})
        with self._lock:
            managed = [key for key, stored in self._store if _carries(stored.manifest, wanted)]
            for key in sorted(managed, key=lambda key: (key.kind != "Pod", key.kind == "Node")):
                if key in self._store:
                    self._delete(key, None)
            return len(managed)

    def bind(self, pod: Pod, node: str, annotations: Mapping[str, str] | None = None) -> None:
        """Assign and annotate in one step."""
        key = _pod_key(pod)
        with self._lock:
            current = self._store.pod(key)
            if pod.uid and pod.uid != current.uid:
                raise _unbindable(key, f"its uid is {current.uid}, not {pod.uid}")
            if current.deleting:
                raise _unbindable(key, "it is being deleted")
            if current.node is not None:
                raise _unbindable(key, f'it is already assigned to node "{current.node}"')
            annotated = {"annotations": dict(annotations or {})}
            scheduled = {"conditions": [{"type": "PodScheduled", "status": "True"}]}
            self._patch(key, {"metadata": annotated, "spec": {"nodeName": node}, "status": scheduled})
            self._start(key)

    def evict(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Delete the pod if every budget allows it."""
        with self._lock:
            current = self._same(pod)
            # As the API server does: a pod that does not run, or goes already, disrupts nothing.
            if current.phase == RUNNING and not current.deleting:
                self._check_budgets(current)
            self._delete(_pod_key(pod), grace_seconds)

    def delete_pod(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Delete the pod."""
        with self._lock:
            self._same(pod)
            self._delete(_pod_key(pod), grace_seconds)

    def cordon(self, node: str, *, on: bool = True) -> None:
        """Set or clear unschedulable."""
        self._patch(Key("Node", "", node), {"spec": {"unschedulable": on or None}})

    def label(self, node: str, labels: Mapping[str, str | None]) -> None:
        """Merge labels."""
        key = Key("Node", "", node)
        with self._lock:
            check_labels(labels, fields_of(self._store[key].manifest))
            self._patch(key, {"metadata": {"labels": dict(labels)}})

    def mark_unhealthy(self, node: str, gpus: Collection[int]) -> None:
        """Lower the node's allocatable GPUs."""
        key = Key("Node", "", node)
        with self._lock:
            self._patch(key, unhealthy_patch(self._store[key].manifest, gpus))

    # The kubelet's part

    def report(self, pod: Pod, phase: str, reason: str = "") -> None:
        """Set a pod's phase, and why."""
        self._patch(_pod_key(pod), {"status": {"phase": phase, "message": reason or None}})

    def finish(self, pod: Pod) -> None:
        """Let a pod that is being deleted go; it stays while it has finalizers."""
        with self._lock:
            if self._same(pod).deleting:
                self._settle(_pod_key(pod))

    def print_log(self, pod: Pod, text: str, container: str = "main") -> None:
        """Append to what a container has printed."""
        with self._lock:
            self._printed[pod.uid, container] = self._printed.get((pod.uid, container), "") + text

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls."""
        with self._lock:
            self._store.check_invariants()
            if self._runs_pods:
                for _, stored in self._store:
                    metadata = stored.manifest["metadata"]
                    assert not metadata.get("deletionTimestamp") or metadata.get("finalizers")

    # Inside; whoever calls these holds the lock

    def _same(self, pod: Pod) -> Pod:
        current = self._store.pod(_pod_key(pod))
        if pod.uid and pod.uid != current.uid:
            raise NotFound(f"{_pod_key(pod)} is gone; another has its name", where=str(_pod_key(pod)))
        return current

    def _create_namespace(self, manifest: Manifest) -> None:
        self._write_new(manifest)
        account = {"name": "default", "namespace": manifest["metadata"]["name"]}
        self._write_new({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})

    def _write_new(self, manifest: Manifest) -> None:
        key, metadata = key_of(manifest), dict(manifest["metadata"])
        metadata.setdefault("uid", f"uid-{self._store.version + 1}")
        if key.namespace:
            metadata["namespace"] = key.namespace
        self._store.write({**manifest, "metadata": metadata})

    def _admitted(self, key: Key, manifest: Manifest) -> Manifest:
        if key.kind == "Pod":
            return self._admitted_pod(key, manifest)
        if key.kind == "PodDisruptionBudget":
            budget_status(manifest, ())  # refuses what the fake can't keep
        if key.kind == "ResourceQuota":
            quota_status(manifest, ())
        return manifest

    def _admitted_pod(self, key: Key, manifest: Manifest) -> Manifest:
        """The pod as the API server stores it: status and times are the server's, priority a class's."""
        metadata = {k: v for k, v in manifest["metadata"].items() if k not in ("uid", "deletionTimestamp")}
        metadata["creationTimestamp"] = time_text(self._clock.now())
        spec = dict(manifest["spec"])
        priority = self._class_priority(key, fields_of(manifest).part("spec").text("priorityClassName"))
        if spec.setdefault("priority", priority) != priority:
            why = f"priority {spec['priority']} must not be given; its PriorityClass says {priority}"
            raise Forbidden(f'pods "{key.name}" is forbidden: {why}', where=str(key))
        admitted = {**manifest, "metadata": metadata, "spec": spec, "status": {"phase": PENDING}}
        for quota in self._store.manifests("ResourceQuota", key.namespace):
            check_quota(quota, self.pods(key.namespace), pod_from(admitted))
        return admitted

    def _class_priority(self, key: Key, name: str) -> int:
        if not name:
            return 0
        if Key("PriorityClass", "", name) not in self._store:
            raise Forbidden(f'pods "{key.name}" is forbidden: no PriorityClass {name}', where=str(key))
        return fields_of(self._store[Key("PriorityClass", "", name)].manifest).number("value")

    def _check_budgets(self, pod: Pod) -> None:
        all_budgets = self._store.manifests("PodDisruptionBudget", pod.namespace)
        budgets = [budget for budget in all_budgets if budget_status(budget, [pod])["expectedPods"]]
        if len(budgets) > 1:
            raise ClusterError("this pod has more than one PodDisruptionBudget", where=str(_pod_key(pod)))
        if any(not budget_status(b, self.pods(pod.namespace))["disruptionsAllowed"] for b in budgets):
            raise TooManyRequests(
                "cannot evict pod as it would violate the pod's disruption budget",
                where=str(_pod_key(pod)),
                remedy="Try again when more of its pods run.",
            )

    def _start(self, key: Key) -> None:
        value = self._store[key].value
        if self._runs_pods and isinstance(value, Pod) and value.node and value.phase == PENDING:
            self._patch(key, {"status": {"phase": RUNNING}})

    def _delete(self, key: Key, grace_seconds: int | None) -> None:
        stored = self._store[key]
        metadata, value = stored.manifest["metadata"], stored.value
        # A kubelet has to end a pod of its own; all others end as soon as nothing holds them.
        waits = isinstance(value, Pod) and value.holds_resources and grace_seconds != 0
        if (isinstance(value, Pod) or metadata.get("finalizers")) and not metadata.get("deletionTimestamp"):
            self._patch(key, {"metadata": {"deletionTimestamp": time_text(self._clock.now())}})
        if self._runs_pods or not waits:
            self._settle(key)

    def _settle(self, key: Key) -> None:
        if not self._store[key].manifest["metadata"].get("finalizers"):
            self._remove(key)

    def _remove(self, key: Key) -> None:
        uid = self._store[key].manifest["metadata"]["uid"]
        self._store.remove(key)
        for other, stored in self._store:
            if other not in self._store:
                continue  # it went with one that it belonged to
            if _owned_by(stored.manifest, uid):
                self._delete(other, None)
            elif key.kind == "Namespace" and other.namespace == key.name:
                self._remove(other)

    def _patch(self, key: Key, patch: Mapping[str, Any]) -> None:
        with self._lock:
            manifest = self._store[key].manifest
            changed = merged(manifest, patch)
            if changed != manifest:
                self._store.write(changed)


def _pod_key(pod: Pod) -> Key:
    return Key("Pod", pod.namespace, pod.name)


def _carries(manifest: Manifest, wanted: Mapping[str, str]) -> bool:
    return wanted.items() <= fields_of(manifest).part("metadata").texts("labels").items()


def _owned_by(manifest: Manifest, uid: str) -> bool:
    owners = fields_of(manifest).part("metadata").items("ownerReferences")
    return any(owner.text("uid") == uid for owner in owners)


def _unbindable(key: Key, why: str) -> Conflict:
    return Conflict(
        f"{key} can't be bound: {why}",
        where=str(key),
        remedy="List again: another scheduler or the user was first.",
    )
