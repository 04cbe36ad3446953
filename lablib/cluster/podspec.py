"""What a pod annotated lab/run wants to be run, from its API object. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RUN: Final = "lab/run"
"""Annotation of pods that the lab's kubelet runs; its value is "process"."""
BACKOFF: Final = "lab/backoff-seconds"
"""Annotation: the first pause before a container is started again; Kubernetes' own is ten seconds."""
FIRST_BACKOFF_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 30.0
VARIABLE: Final = re.compile(r"\$\$|\$\((?P<name>[A-Za-z_.-][\w.-]*)\)")


class ConfigError(Exception):
    """The pod can't be run as it is written; the text says why."""


@dataclass(frozen=True)
class Container:
    """One program of a pod."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: str | None
    """workingDir; None for the pod's own."""


@dataclass(frozen=True)
class PodSpec:
    """All that running it needs."""

    namespace: str
    name: str
    uid: str
    containers: tuple[Container, ...]
    first: tuple[Container, ...]
    """Init containers, one after the other before the rest."""
    restart_policy: str
    """"Always", "OnFailure" or "Never"."""
    grace_seconds: float
    backoff_seconds: float
    deadline_seconds: float | None = None
    """activeDeadlineSeconds: how long it may run in all."""


def wanted(manifest: Mapping[str, Any]) -> bool:
    """True for a pod that is bound and that the lab's kubelet has to look after."""
    annotations = manifest["metadata"].get("annotations") or {}
    return RUN in annotations and bool(manifest["spec"].get("nodeName"))


def pod_spec(manifest: Mapping[str, Any]) -> PodSpec:
    """The pod's programs, with every variable in place.

    Raises:
        ConfigError: it asks for what a local process can't have.
    """
    meta, spec = manifest["metadata"], manifest["spec"]
    annotations = meta.get("annotations") or {}
    if annotations[RUN] != "process":
        raise ConfigError(f'annotation {RUN} is "{annotations[RUN]}"; there is "process" only')
    grace, deadline = spec.get("terminationGracePeriodSeconds"), spec.get("activeDeadlineSeconds")
    return PodSpec(
        meta["namespace"],
        meta["name"],
        meta["uid"],
        tuple(_container(each, manifest) for each in spec["containers"]),
        tuple(_container(each, manifest) for each in spec.get("initContainers") or ()),
        spec.get("restartPolicy", "Always"),
        GRACE_SECONDS if grace is None else float(grace),
        _backoff(annotations),
        None if deadline is None else float(deadline),
    )


def _backoff(annotations: Mapping[str, str]) -> float:
    text = annotations.get(BACKOFF, str(FIRST_BACKOFF_SECONDS))
    try:
        return max(float(text), 0.05)
    except ValueError:
        raise ConfigError(f'annotation {BACKOFF} is "{text}", which is no number') from None


def _container(container: Mapping[str, Any], manifest: Mapping[str, Any]) -> Container:
    name = container["name"]
    if container.get("envFrom"):
        raise ConfigError(f"container {name}: envFrom is not supported for local processes")
    env: dict[str, str] = {}
    for entry in container.get("env") or ():
        env[entry["name"]] = _value(entry, manifest, env, name)
    argv = [*(container.get("command") or ()), *(container.get("args") or ())]
    if not container.get("command"):
        raise ConfigError(f"container {name} has no command: there is no image to take one from")
    return Container(name, tuple(_expanded(word, env) for word in argv), env, container.get("workingDir"))


def _value(entry: Mapping[str, Any], manifest: Mapping[str, Any], env: Mapping[str, str], name: str) -> str:
    source = entry.get("valueFrom")
    if source is None:
        return _expanded(entry.get("value", ""), env)
    if "fieldRef" in source:
        return _field(source["fieldRef"]["fieldPath"], manifest)
    kind = next(iter(source), "nothing")
    raise ConfigError(
        f"container {name}, variable {entry['name']}: {kind} is not supported for local processes"
    )


def _expanded(text: str, env: Mapping[str, str]) -> str:
    """$(NAME) replaced as Kubernetes does: unknown names stay, $$ is a dollar."""

    def put(match: re.Match[str]) -> str:
        return "$" if match["name"] is None else env.get(match["name"], match[0])

    return VARIABLE.sub(put, text)


def _field(path: str, manifest: Mapping[str, Any]) -> str:
    """The value of a fieldRef."""
    indexed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    meta, spec = manifest["metadata"], manifest["spec"]
    if indexed:
        return str((meta.get(indexed[1]) or {}).get(indexed[2], ""))
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path not in known:
        raise ConfigError(f"fieldRef {path} is not supported")
    return str(known[path])
