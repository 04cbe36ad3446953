"""A cluster behind a real API server. Does I/O.

Every answer is read as plain JSON and converted by convert.py. Nothing is cached but which kinds there are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from lablib.clock import Clock, SystemClock
from lablib.cluster.client import MANAGED, Event, Listing, Manifest, PodEvent
from lablib.cluster.convert import event_from, node_from, pod_from, unhealthy_patch
from lablib.cluster.fields import fields_of
from lablib.cluster.rules import merged
from lablib.cluster.transport import Transport, error_of
from lablib.cluster.wait import wait_until
from lablib.errors import Conflict, Forbidden, NotFound
from lablib.gpu.device import Node
from lablib.scheduling.model import Pod

OPTIONS: Final = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}


class Resource(NamedTuple):
    """One kind as the API server serves it."""

    kind: str
    path: str
    """Of its group and version: "/api/v1", "/apis/apps/v1"."""
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def address(self, namespace: str, name: str = "") -> str:
        """The path of one object, or of all in a namespace."""
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.path}{within}/{self.plural}" + (f"/{name}" if name else "")


class KubernetesCluster:
    """A `Cluster` by kubeconfig; several threads may use it. Close it, or use it in `with`.

    Args:
        kubeconfig: the file.
        context: one in the file; its current one if None.
        clock: what watches end by.
    """

    def __init__(self, kubeconfig: Path, context: str | None = None, *, clock: Clock | None = None) -> None:
        self._transport = Transport(kubeconfig, context)
        self._clock: Clock = clock or SystemClock()
        self._resources: dict[str, tuple[Resource, ...]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """The address of its API server."""
        return self._transport.host

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # Reading

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, by name."""
        return _nodes(self._transport.get("/api/v1/nodes"))

    def pods(self, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> tuple[Pod, ...]:
        """Pods by namespace and name."""
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        return _pods(self._transport.get(path, _selector(labels or {})))

    def pod(self, name: str, namespace: str = "default") -> Pod:
        """One pod."""
        return pod_from(self._transport.get(f"/api/v1/namespaces/{namespace}/pods/{name}"))

    def list(self) -> Listing:
        """Pods, and nodes as they were at the very same version."""
        pods = self._transport.get("/api/v1/pods")
        version = str(pods["metadata"]["resourceVersion"])
        same = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
        return Listing(_nodes(self._transport.get("/api/v1/nodes", same)), _pods(pods), version)

    def watch(self, version: str, timeout_seconds: float) -> Iterator[PodEvent]:
        """Changes of pods after `version`; a stream that the server ends early is taken up again."""
        deadline = self._clock.now() + timeout_seconds
        while (left := deadline - self._clock.now()) > 0:
            query = {
                "watch": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(math.ceil(left)),  # 0 would mean "as long as the server likes"
            }
            for change in self._transport.lines("/api/v1/pods", query, left):
                event = _event(change)
                version = event.version
                yield event
                if self._clock.now() >= deadline:
                    return

    def events(self, pod: Pod) -> tuple[Event, ...]:
        """Events that name the pod's uid."""
        query = {"fieldSelector": f"involvedObject.uid={pod.uid}"}
        found = self._transport.get(f"/api/v1/namespaces/{pod.namespace}/events", query)["items"]
        events = [event_from({"kind": "Event"} | item) for item in found]
        return tuple(sorted(events, key=lambda event: event.last_seconds))

    def logs(self, pod: Pod, container: str | None = None, tail_lines: int | None = None) -> str:
        """The pod's log, by way of its node's kubelet."""
        query = {} if container is None else {"container": container}
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        return self._transport.get_text(f"{_path(pod)}/log", query)

    def read(self, manifest: Manifest) -> Manifest:
        """The object as it is now."""
        return self._transport.get(self._address(manifest))

    # Writing

    def create(self, manifest: Manifest) -> None:
        """Create any object, labelled."""
        labelled = merged(manifest, {"metadata": {"labels": {MANAGED: "true"}}})
        resource = self._resource(labelled)
        self._transport.post(resource.address(_namespace(labelled)), labelled)

    def delete(self, manifest: Manifest) -> None:
        """Delete an object; what it owns follows."""
        self._transport.delete(self._address(manifest), OPTIONS)

    def remove_managed(self, labels: Mapping[str, str] | None = None, timeout_seconds: float = 60.0) -> int:
        """Delete what carries the labels, of every kind there is."""
        wanted = {MANAGED: "true"} | dict(labels or {})
        kinds = sorted(self._kinds(), key=lambda resource: (resource.kind != "Pod", resource.kind == "Node"))
        removed = 0
        for resource in kinds:
            removed += self._remove_all(resource, wanted)
            if resource.kind == "Pod" or resource == kinds[-1]:
                # At the end again, for the pods of controllers that went meanwhile.
                self._wait_for_no_pods(wanted, timeout_seconds)
        return removed

    def bind(self, pod: Pod, node: str, annotations: Mapping[str, str] | None = None) -> None:
        """One Binding: the API server merges its annotations as it assigns the pod."""
        metadata = {"name": pod.name, "namespace": pod.namespace, "annotations": dict(annotations or {})}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": metadata | _uid(pod),
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        self._transport.post(f"{_path(pod)}/binding", binding)

    def evict(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """One Eviction."""
        self._same(pod)  # the API server takes ten seconds to find that out
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": _options(pod, grace_seconds),
        }
        try:
            self._transport.post(f"{_path(pod)}/eviction", eviction)
        except Conflict:
            self._same(pod)  # it may have been replaced just now
            raise

    def delete_pod(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Delete the pod with this uid."""
        try:
            self._transport.delete(_path(pod), _options(pod, grace_seconds))
        except Conflict:
            self._same(pod)
            raise

    def cordon(self, node: str, *, on: bool = True) -> None:
        """Set or clear unschedulable."""
        self._transport.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": on or None}})

    def label(self, node: str, labels: Mapping[str, str | None]) -> None:
        """Merge labels."""
        self._transport.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": dict(labels)}})

    def mark_unhealthy(self, node: str, gpus: Collection[int]) -> None:
        """Lower the node's allocatable GPUs, and name them, in one patch of its status."""
        path = f"/api/v1/nodes/{node}"
        patch = unhealthy_patch({"kind": "Node"} | self._transport.get(path), gpus)
        self._transport.patch(f"{path}/status", patch)

    # Inside

    def _same(self, pod: Pod) -> None:
        if pod.uid not in ("", self.pod(pod.name, pod.namespace).uid):
            where = f"Pod {pod.namespace}/{pod.name}"
            raise NotFound(f"{where} is gone; another has its name", where=where)

    def _address(self, manifest: Manifest) -> str:
        name = fields_of(manifest).part("metadata").text("name")
        return self._resource(manifest).address(_namespace(manifest), name)

    def _resource(self, manifest: Manifest) -> Resource:
        top = fields_of(manifest)
        kind, version = top.text("kind"), top.text("apiVersion")
        if not version:
            raise top.refusal("apiVersion is missing")
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for fresh in (False, True):  # a kind may have been defined since
            for resource in self._served(path, fresh=fresh):
                if resource.kind == kind:
                    return resource
        raise NotFound(f"the cluster knows no kind {kind} in {version}", where=self.host)

    def _served(self, path: str, *, fresh: bool = False) -> tuple[Resource, ...]:
        if fresh or path not in self._resources:
            try:
                found = self._transport.get(path)["resources"]
            except NotFound:
                return ()
            self._resources[path] = tuple(_resources(path, found))
        return self._resources[path]

    def _kinds(self) -> Iterable[Resource]:
        """Every kind that can be listed and deleted, each in the version its group prefers."""
        groups = self._transport.get("/apis")["groups"]
        paths = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
        for resource in (resource for path in paths for resource in self._served(path)):
            if {"list", "delete"} <= resource.verbs:
                yield resource

    def _remove_all(self, resource: Resource, labels: Mapping[str, str]) -> int:
        try:
            found = self._transport.get(resource.address(""), _selector(labels))["items"]
        except (Forbidden, NotFound):
            return 0  # a kind that we may not even list holds nothing of ours
        for item in found:
            metadata = item["metadata"]
            try:
                address = resource.address(metadata.get("namespace", ""), metadata["name"])
                self._transport.delete(address, OPTIONS)
            except NotFound:
                continue
        return len(found)

    def _wait_for_no_pods(self, labels: Mapping[str, str], timeout_seconds: float) -> None:
        wait_until(
            self,
            lambda listing: not any(labels.items() <= pod.labels.items() for pod in listing.pods),
            timeout_seconds=timeout_seconds,
            what="the lab's pods to end",
            clock=self._clock,
        )


def _nodes(listing: Mapping[str, Any]) -> tuple[Node, ...]:
    nodes = [node_from({"kind": "Node"} | item) for item in listing["items"]]
    return tuple(sorted(nodes, key=lambda node: node.name))


def _pods(listing: Mapping[str, Any]) -> tuple[Pod, ...]:
    pods = [pod_from({"kind": "Pod"} | item) for item in listing["items"]]
    return tuple(sorted(pods, key=lambda pod: (pod.namespace, pod.name)))


def _event(change: Mapping[str, Any]) -> PodEvent:
    found = change["object"]
    if change["type"] == "ERROR":
        raise error_of(int(found.get("code", 0)), str(found.get("message", "")), "watch of pods")
    return PodEvent(change["type"], pod_from({"kind": "Pod"} | found), found["metadata"]["resourceVersion"])


def _resources(path: str, found: Iterable[Mapping[str, Any]]) -> Iterator[Resource]:
    for item in found:
        if "/" not in item["name"]:  # "pods/log" is a part of another
            verbs = frozenset(item["verbs"])
            yield Resource(item["kind"], path, item["name"], item["namespaced"], verbs)


def _selector(labels: Mapping[str, str]) -> dict[str, str]:
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {"labelSelector": selector} if selector else {}


def _namespace(manifest: Manifest) -> str:
    return fields_of(manifest).part("metadata").text("namespace", "default")


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"


def _uid(pod: Pod) -> dict[str, str]:
    return {"uid": pod.uid} if pod.uid else {}


def _options(pod: Pod, grace_seconds: int | None) -> dict[str, Any]:
    grace = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
    return {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": _uid(pod)} | grace
