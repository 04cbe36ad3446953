"""API objects to values and back: nodes with their GPUs, pods with what they ask. Does no I/O.

`node_from` and `pod_from` read the JSON of an API server, `node_manifest` and `pod_manifest` write it, so
that `pod_from(pod_manifest(pod)) == pod`. A malformed object raises `Invalid` with the field's path.

Where a node's GPUs come from: how many from the capacity that its device plugin reports, model and memory
from the labels of NVIDIA's feature discovery; the model by its short name in gpu/models.py. The plugin only
tells how many are unhealthy (capacity less allocatable); which ones is in the annotation
lab/unhealthy-gpus, else the last ones are taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from lablib.cluster.client import Event, Manifest
from lablib.cluster.fields import Fields, fields_of, time_text, whole
from lablib.cluster.requests import Quantities, pod_requests
from lablib.gpu.device import Gpu, Node, Taint
from lablib.gpu.models import name_of, product_of
from lablib.scheduling.model import PENDING, Pod
from lablib.units import GPU_MILLI, MIB

GPU: Final = "nvidia.com/gpu"
"""The extended resource that NVIDIA's device plugin reports."""
SHARED_GPU: Final = "lab/gpu-milli"
"""Extended resource of the lab's nodes: the sum of their healthy GPUs' milli, to share GPUs by."""
PRODUCT: Final = "nvidia.com/gpu.product"
COUNT: Final = "nvidia.com/gpu.count"
MEMORY: Final = "nvidia.com/gpu.memory"
REPLICAS: Final = "nvidia.com/gpu.replicas"
UNHEALTHY: Final = "lab/unhealthy-gpus"
"""Annotation of a node: indices of its unhealthy GPUs, "0,3"."""
UNKNOWN_MODEL: Final = "unknown"
"""Model of GPUs on a node without the product label."""
IMAGE: Final = "pause"
"""Image of a pod made from a value. KWOK and the lab's kubelet pull none."""


# Nodes


def node_from(manifest: Manifest) -> Node:
    """The node that an API object describes."""
    top = fields_of(manifest)
    meta, spec, status = top.part("metadata"), top.part("spec"), top.part("status")
    capacity = status.quantities("capacity")
    allocatable = status.quantities("allocatable") or capacity
    return Node(
        name=meta.text("name"),
        cpu_milli=whole(allocatable.get("cpu", Decimal(0)), 1000),
        memory_mib=whole(allocatable.get("memory", Decimal(0)) / MIB),
        gpus=_gpus(meta, capacity, allocatable),
        labels=meta.texts("labels"),
        resources=_extended(allocatable),
        taints=tuple(
            Taint(taint.text("key"), taint.text("effect"), taint.text("value"))
            for taint in spec.items("taints")
        ),
        ready=_condition(status, "Ready").text("status") == "True",
        unschedulable=spec.flag("unschedulable"),
    )


def node_manifest(node: Node) -> dict[str, Any]:
    """A node as one creates it. Labels that tell of its GPUs are added where it has none."""
    healthy = sum(gpu.healthy for gpu in node.gpus)
    allocatable = {name: str(amount) for name, amount in node.resources.items()}
    allocatable |= {"cpu": f"{node.cpu_milli}m", "memory": f"{node.memory_mib}Mi"}
    capacity = {"pods": "110"} | allocatable
    if node.gpus:
        allocatable[GPU], capacity[GPU] = str(healthy), str(len(node.gpus))
        if SHARED_GPU in node.resources:
            capacity[SHARED_GPU] = str(GPU_MILLI * len(node.gpus))
    spec: dict[str, Any] = {}
    if node.taints:
        spec["taints"] = [_taint_manifest(taint) for taint in node.taints]
    if node.unschedulable:
        spec["unschedulable"] = True
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "labels": _gpu_labels(node) | dict(node.labels),
            "annotations": _unhealthy_annotation([gpu.index for gpu in node.gpus if not gpu.healthy]),
        },
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": {"pods": "110"} | allocatable,
            "conditions": [{"type": "Ready", "status": str(node.ready)}],
        },
    }


def unhealthy_patch(manifest: Manifest, gpus: Collection[int]) -> dict[str, Any]:
    """The merge patch of a node's status after which exactly these of its GPUs are unhealthy.

    Raises:
        Invalid: the node has no GPU of such an index.
    """
    node = node_from(manifest)
    unknown = sorted(set(gpus) - {gpu.index for gpu in node.gpus})
    if unknown:
        raise fields_of(manifest).refusal(f"it has {len(node.gpus)} GPUs, none with index {unknown[0]}")
    healthy = len(node.gpus) - len(set(gpus))
    allocatable = {GPU: str(healthy)}
    if SHARED_GPU in node.resources:
        allocatable[SHARED_GPU] = str(GPU_MILLI * healthy)
    annotation = _unhealthy_annotation(gpus) or {UNHEALTHY: None}
    return {"metadata": {"annotations": annotation}, "status": {"allocatable": allocatable}}


def _gpus(meta: Fields, capacity: Quantities, allocatable: Quantities) -> tuple[Gpu, ...]:
    labels = meta.part("labels")
    sharing = max(_label_number(labels, REPLICAS), 1)
    # With MIG's "mixed" strategy GPUs are offered as slices only: the label alone tells how many there are.
    count = whole(capacity.get(GPU, Decimal(0))) // sharing or _label_number(labels, COUNT)
    lost = whole(capacity.get(GPU, Decimal(0)) - allocatable.get(GPU, Decimal(0))) // sharing
    unhealthy = _unhealthy(meta.part("annotations"), count, max(lost, 0))
    model = name_of(labels.text(PRODUCT)) or UNKNOWN_MODEL
    memory_mib = _label_number(labels, MEMORY)
    return tuple(Gpu(index, model, memory_mib, index not in unhealthy) for index in range(count))


def _unhealthy(annotations: Fields, count: int, lost: int) -> frozenset[int]:
    words = [word.strip() for word in annotations.text(UNHEALTHY).split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise annotations.malformed(UNHEALTHY, annotations.text(UNHEALTHY), 'indices such as "0,3"')
    named = [index for index in dict.fromkeys(map(int, words)) if index < count]
    others = [index for index in reversed(range(count)) if index not in named]
    return frozenset([*named, *others][:lost])


def _label_number(labels: Fields, key: str) -> int:
    text = labels.text(key, "0")
    if not text.isdecimal():
        raise labels.malformed(key, text, "a whole number")
    return int(text)


def _gpu_labels(node: Node) -> dict[str, str]:
    if not node.gpus:
        return {}
    labels = {COUNT: str(len(node.gpus)), MEMORY: str(node.gpus[0].memory_mib)}
    return labels if node.model == UNKNOWN_MODEL else labels | {PRODUCT: product_of(node.model)}


def _unhealthy_annotation(gpus: Collection[int]) -> dict[str, str | None]:
    return {UNHEALTHY: ",".join(map(str, sorted(set(gpus))))} if gpus else {}


def _taint_manifest(taint: Taint) -> dict[str, str]:
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, "effect": taint.effect} | value


def _condition(status: Fields, kind: str) -> Fields:
    found = [condition for condition in status.items("conditions") if condition.text("type") == kind]
    return found[0] if found else Fields({}, status.where)


# Pods


def pod_from(manifest: Manifest) -> Pod:
    """The pod that an API object describes."""
    top = fields_of(manifest)
    meta, spec, status = top.part("metadata"), top.part("spec"), top.part("status")
    requests = pod_requests(spec)
    return Pod(
        name=meta.text("name"),
        namespace=meta.text("namespace", "default"),
        uid=meta.text("uid"),
        labels=meta.texts("labels"),
        annotations=meta.texts("annotations"),
        cpu_milli=whole(requests.get("cpu", Decimal(0)), 1000, up=True),
        memory_mib=whole(requests.get("memory", Decimal(0)) / MIB, up=True),
        resources=_extended(requests),
        node_selector=spec.texts("nodeSelector"),
        gpu_models=_gpu_models(spec),
        scheduler_name=spec.text("schedulerName", "default-scheduler"),
        priority=spec.number("priority"),
        node=spec.text("nodeName") or None,
        phase=status.text("phase", PENDING),
        reason=_reason(status),
        deleting=bool(meta.text("deletionTimestamp")),
        created_seconds=meta.seconds("creationTimestamp"),
    )


def pod_manifest(pod: Pod, image: str = IMAGE) -> dict[str, Any]:
    """A pod as one creates it.

    An API server sets uid, times and status itself and takes no priority without a PriorityClass.
    """
    requests = {"cpu": f"{pod.cpu_milli}m"} if pod.cpu_milli else {}
    requests |= {"memory": f"{pod.memory_mib}Mi"} if pod.memory_mib else {}
    devices = {name: str(amount) for name, amount in pod.resources.items()}
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "main",
                "image": image,
                # An extended resource is never overcommitted: its limit equals its request.
                "resources": {"requests": requests | devices, "limits": devices},
            }
        ],
        "schedulerName": pod.scheduler_name,
    }
    optional = {
        "nodeSelector": dict(pod.node_selector),
        "affinity": _affinity(pod),
        "priority": pod.priority,
        "nodeName": pod.node,
    }
    spec |= {key: value for key, value in optional.items() if value}
    metadata = {
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": pod.uid,
        "labels": dict(pod.labels),
        "annotations": dict(pod.annotations),
        "creationTimestamp": time_text(pod.created_seconds) if pod.created_seconds else "",
        "deletionTimestamp": time_text(pod.created_seconds) if pod.deleting else "",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": spec,
        "status": _status(pod),
    }


def event_from(manifest: Manifest) -> Event:
    """What a core/v1 Event says."""
    top = fields_of(manifest)
    seen = top.seconds("lastTimestamp") or top.seconds("eventTime")
    return Event(
        reason=top.text("reason"),
        message=top.text("message"),
        warning=top.text("type") == "Warning",
        count=max(top.number("count"), 1),
        last_seconds=seen or top.part("metadata").seconds("creationTimestamp"),
    )


def _extended(quantities: Quantities) -> Mapping[str, int]:
    """Resources that only extend Kubernetes' own: nvidia.com/gpu is one, cpu and hugepages-2Mi are not."""
    own = ("kubernetes.io", "k8s.io")
    extended = {name for name in quantities if "/" in name and not name.split("/")[0].endswith(own)}
    return MappingProxyType({name: whole(quantities[name]) for name in sorted(extended)})


def _gpu_models(spec: Fields) -> frozenset[str]:
    """Models that required node affinity (or else the node selector) allows."""
    affinity = spec.part("affinity").part("nodeAffinity")
    terms = affinity.part("requiredDuringSchedulingIgnoredDuringExecution").items("nodeSelectorTerms")
    allowed = [_allowed_by(term) for term in terms]
    # Terms are alternatives: one that names no product allows them all.
    named = frozenset[str]().union(*allowed) if all(allowed) else frozenset[str]()
    selected = frozenset(filter(None, [spec.part("nodeSelector").text(PRODUCT)]))
    return frozenset(map(name_of, selected or named))


def _allowed_by(term: Fields) -> frozenset[str]:
    wanted = [
        frozenset(expression.words("values"))
        for expression in term.items("matchExpressions")
        if expression.text("key") == PRODUCT and expression.text("operator") == "In"
    ]
    return frozenset.intersection(*wanted) if wanted else frozenset()


def _affinity(pod: Pod) -> dict[str, Any]:
    if not pod.gpu_models or PRODUCT in pod.node_selector:
        return {}
    product = {"key": PRODUCT, "operator": "In", "values": sorted(map(product_of, pod.gpu_models))}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [product]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _reason(status: Fields) -> str:
    """Why a pod waits or failed: the first that says something, from the scheduler to the containers."""
    scheduled = _condition(status, "PodScheduled")
    if scheduled.text("status") == "False":
        return scheduled.text("message") or scheduled.text("reason")
    spoken = status.text("message") or status.text("reason")
    return spoken or next(filter(None, map(_container_reason, status.items("containerStatuses"))), "")


def _container_reason(container: Fields) -> str:
    state = container.part("state")
    waiting, ended = state.part("waiting"), state.part("terminated")
    code = ended.number("exitCode")
    failed = f"{ended.text('reason') or 'Error'}: exit code {code}" if code else ""
    return waiting.text("message") or waiting.text("reason") or failed


def _status(pod: Pod) -> dict[str, Any]:
    if not pod.reason:
        return {"phase": pod.phase}
    if pod.phase == PENDING and pod.node is None:
        refusal = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": pod.reason,
        }
        return {"phase": pod.phase, "conditions": [refusal]}
    return {"phase": pod.phase, "message": pod.reason}
