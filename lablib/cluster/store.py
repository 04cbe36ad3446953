"""Objects in memory, each change with a version of its own, and the changes of pods since. Does no I/O.

The part of an API server that etcd and the watch cache are. An object is never changed, only replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lablib.cluster.client import Manifest, PodEvent
from lablib.cluster.convert import node_from, pod_from
from lablib.cluster.fields import fields_of
from lablib.cluster.rules import CLUSTER_SCOPED
from lablib.errors import Gone, NotFound
from lablib.gpu.device import Node
from lablib.scheduling.model import Pod


class Key(NamedTuple):
    """What tells one object from all others."""

    kind: str
    namespace: str
    """Empty for kinds that live in none."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


@dataclass(frozen=True)
class Stored:
    """An object and the value it stands for."""

    manifest: Manifest
    value: Node | Pod | None = None


class Store:
    """All objects by key, the last version, and the last `history` changes of pods."""

    def __init__(self, history: int) -> None:
        self.version = 0
        self._objects: dict[Key, Stored] = {}
        self._history = history
        self._log: deque[PodEvent] = deque()
        self._forgotten: dict[Key, Pod] = {}  # the pods as they were before the log begins
        self._forgotten_version = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def __getitem__(self, key: Key) -> Stored:
        """The object; NotFound when there is none."""
        if key not in self._objects:
            raise NotFound(f"{key} not found", where=str(key))
        return self._objects[key]

    def __iter__(self) -> Iterator[tuple[Key, Stored]]:
        """Every object; it may change meanwhile."""
        return iter(list(self._objects.items()))

    def manifests(self, kind: str, namespace: str | None = None) -> tuple[Manifest, ...]:
        """Objects of one kind, of one namespace or of all."""
        return tuple(
            stored.manifest
            for key, stored in self._objects.items()
            if key.kind == kind and namespace in (None, key.namespace)
        )

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, by name."""
        values = (stored.value for stored in self._objects.values())
        return tuple(
            sorted((value for value in values if isinstance(value, Node)), key=lambda node: node.name)
        )

    def pods(self) -> tuple[Pod, ...]:
        """All pods, by namespace and name."""
        values = (stored.value for stored in self._objects.values())
        pods = (value for value in values if isinstance(value, Pod))
        return tuple(sorted(pods, key=lambda pod: (pod.namespace, pod.name)))

    def pod(self, key: Key) -> Pod:
        """One pod; NotFound when there is none."""
        value = self[key].value
        assert isinstance(value, Pod)
        return value

    def write(self, manifest: Manifest) -> None:
        """Put an object, or replace it."""
        key = key_of(manifest)
        self.version += 1
        kind: Literal["ADDED", "MODIFIED"] = "MODIFIED" if key in self._objects else "ADDED"
        metadata = {**manifest["metadata"], "resourceVersion": str(self.version)}
        versioned = {**manifest, "metadata": metadata}
        value = _value(versioned)
        self._objects[key] = Stored(versioned, value)
        if isinstance(value, Pod):
            self._remember(PodEvent(kind, value, str(self.version)))

    def remove(self, key: Key) -> None:
        """Take an object away."""
        removed = self._objects.pop(key)
        self.version += 1
        if isinstance(removed.value, Pod):
            self._remember(PodEvent("DELETED", removed.value, str(self.version)))

    def changes(self, version: int) -> tuple[PodEvent, ...]:
        """Changes of pods after `version`; Gone when some of them are forgotten."""
        if version < self._forgotten_version:
            raise Gone(
                f"too old resource version: {version} ({self._forgotten_version})",
                where="watch of pods",
                remedy="List again and watch from there.",
            )
        return tuple(event for event in self._log if int(event.version) > version)

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls."""
        replayed, version = dict(self._forgotten), self._forgotten_version
        for event in self._log:
            assert version < int(event.version) <= self.version, "versions go up"
            version = int(event.version)
            _replay(replayed, event)
        current = {Key("Pod", pod.namespace, pod.name): pod for pod in self.pods()}
        assert replayed == current, "a watch from the start ends at the listing"
        for key, stored in self:
            assert key == key_of(stored.manifest), "an object lies under its own name"
            assert stored.value == _value(stored.manifest), "a value is that of its object"
            assert not key.namespace or Key("Namespace", "", key.namespace) in self

    def _remember(self, event: PodEvent) -> None:
        self._log.append(event)
        if len(self._log) > self._history:
            oldest = self._log.popleft()
            self._forgotten_version = int(oldest.version)
            _replay(self._forgotten, oldest)


def key_of(manifest: Manifest) -> Key:
    """The key that an object lies under; its namespace is "default" unless it says."""
    top = fields_of(manifest)
    kind, metadata = top.text("kind"), top.part("metadata")
    namespace = "" if kind in CLUSTER_SCOPED else metadata.text("namespace", "default")
    return Key(kind, namespace, metadata.text("name"))


def _value(manifest: Manifest) -> Node | Pod | None:
    readers: dict[str, Callable[[Manifest], Node | Pod]] = {"Node": node_from, "Pod": pod_from}
    reader = readers.get(manifest["kind"])
    return reader(manifest) if reader else None


def _replay(pods: dict[Key, Pod], event: PodEvent) -> None:
    key = Key("Pod", event.pod.namespace, event.pod.name)
    pods.pop(key, None)
    if event.kind != "DELETED":
        pods[key] = event.pod
