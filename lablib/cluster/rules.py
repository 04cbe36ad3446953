"""The API server's rules that MemoryCluster keeps: names, quotas, disruption budgets, patches. Does no I/O.

Each answers as Kubernetes' own admission plugins and disruption controller do, for the cases that the labs
meet; a quota or budget outside them is refused rather than ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from lablib.cluster.client import Manifest
from lablib.cluster.fields import Fields, fields_of
from lablib.errors import Forbidden
from lablib.scheduling.model import FAILED, RUNNING, SUCCEEDED, Pod
from lablib.units import MIB

CLUSTER_SCOPED: Final = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
"""Kinds that live in no namespace."""

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY: Final = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


def check_object(manifest: Manifest) -> None:
    """Raise Invalid unless its version, name, labels and (of a pod) containers are there and well-formed."""
    top = fields_of(manifest)
    if not top.text("apiVersion"):
        raise top.refusal("apiVersion is missing")
    name = top.part("metadata").text("name")
    if not NAME.fullmatch(name):
        raise top.refusal(f"metadata.name {name!r} is not lower case letters, digits, '-' and '.'")
    check_labels(top.part("metadata").texts("labels"), top)
    if top.text("kind") == "Pod" and not top.part("spec").items("containers"):
        raise top.refusal("spec.containers: a pod needs at least one container")


def check_labels(labels: Mapping[str, str | None], top: Fields) -> None:
    """Raise Invalid unless every key and value may be a label."""
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key):
            raise top.refusal(f"{key!r} is no label key")
        if value is not None and not LABEL_VALUE.fullmatch(value):
            raise top.refusal(f"label {key}: {value!r} is not at most 63 letters, digits, '-', '_' and '.'")


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`target` after a JSON merge patch (RFC 7386): None removes. Neither argument is changed."""
    changed = {key: value for key, value in target.items() if key not in patch}
    for key, value in patch.items():
        if isinstance(value, Mapping):
            below = target.get(key)
            changed[key] = merged(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            changed[key] = value
    return changed


def selects(selector: Fields, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches. matchLabels only; an empty one matches everything."""
    if selector.items("matchExpressions"):
        raise selector.refusal("MemoryCluster knows selectors by matchLabels only")
    return all(labels.get(key) == value for key, value in selector.texts("matchLabels").items())


# Quotas


def quota_usage(pod: Pod) -> dict[str, Decimal]:
    """What one pod uses of a ResourceQuota, by the quota's keys; nothing once it has ended."""
    if pod.phase in (SUCCEEDED, FAILED):
        return {}
    usage = {key: Decimal(1) for key in ("pods", "count/pods")}
    usage |= {key: Decimal(pod.cpu_milli) / 1000 for key in ("cpu", "requests.cpu")}
    usage |= {key: Decimal(pod.memory_mib) * MIB for key in ("memory", "requests.memory")}
    return usage | {f"requests.{name}": Decimal(amount) for name, amount in pod.resources.items()}


def quota_status(quota: Manifest, pods: Iterable[Pod]) -> dict[str, Any]:
    """The status that the quota controller writes."""
    hard = _hard(quota)
    used = _used(hard, pods)
    return {"hard": _texts(hard), "used": _texts(used)}


def check_quota(quota: Manifest, pods: Iterable[Pod], new: Pod) -> None:
    """Raise Forbidden if `new` beside `pods` would exceed the quota, in the API server's words."""
    name, hard = fields_of(quota).part("metadata").text("name"), _hard(quota)
    asked = {key: quota_usage(new).get(key, Decimal(0)) for key in hard}
    unsaid = sorted(key for key in asked if key.endswith(("cpu", "memory")) and not asked[key])
    if unsaid:
        raise _forbidden(new, f"failed quota: {name}: must specify {','.join(unsaid)}")
    used = _used(hard, pods)
    over = [key for key in sorted(hard) if asked[key] and used[key] + asked[key] > hard[key]]
    if over:
        told = [
            f"{word}: " + ",".join(f"{key}={amounts[key].normalize():f}" for key in over)
            for word, amounts in (("requested", asked), ("used", used), ("limited", hard))
        ]
        raise _forbidden(new, f"exceeded quota: {name}, " + ", ".join(told))


def _hard(quota: Manifest) -> dict[str, Decimal]:
    top = fields_of(quota)
    hard = top.part("spec").quantities("hard")
    plain = {"pods", "count/pods", "cpu", "memory", "requests.cpu", "requests.memory"}
    strange = [key for key in hard if key not in plain and not (key.startswith("requests.") and "/" in key)]
    if strange:
        raise top.refusal(f"MemoryCluster keeps no quota of {strange[0]}")
    return hard


def _used(hard: Mapping[str, Decimal], pods: Iterable[Pod]) -> dict[str, Decimal]:
    usages = [quota_usage(pod) for pod in pods]
    return {key: sum((usage.get(key, Decimal(0)) for usage in usages), Decimal(0)) for key in hard}


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {key: f"{amount.normalize():f}" for key, amount in amounts.items()}


def _forbidden(pod: Pod, why: str) -> Forbidden:
    return Forbidden(
        f'pods "{pod.name}" is forbidden: {why}',
        where=f"Pod {pod.namespace}/{pod.name}",
        remedy="Ask for less, delete a pod of the namespace, or have its quota raised.",
    )


# Disruption budgets


def budget_status(budget: Manifest, pods: Iterable[Pod]) -> dict[str, int]:
    """The status that the disruption controller writes: how many of `pods` may go now."""
    spec = fields_of(budget).part("spec")
    wanted = [pod for pod in pods if selects(spec.part("selector"), pod.labels)]
    wanted = [pod for pod in wanted if pod.phase not in (SUCCEEDED, FAILED)]
    healthy = sum(pod.phase == RUNNING and not pod.deleting for pod in wanted)
    desired = _min_available(spec)
    return {
        "expectedPods": len(wanted),
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": max(healthy - desired, 0),
    }


def _min_available(spec: Fields) -> int:
    value = spec.values.get("minAvailable")
    if isinstance(value, bool) or not isinstance(value, int):
        # Shares and maxUnavailable are counted against a controller's replicas, which the fake has not.
        raise spec.refusal("MemoryCluster knows budgets by minAvailable as a whole number only")
    return value
