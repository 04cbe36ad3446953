"""What the scheduler reserves for a pod: its containers' requests, added up. Does no I/O."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce

from lablib.cluster.fields import Fields

Quantities = dict[str, Decimal]
"""By resource, in base units: {"cpu": 0.5, "nvidia.com/gpu": 2}."""


def pod_requests(spec: Fields) -> Quantities:
    """What the scheduler reserves: containers together, or the hungriest init container if that is more.

    Source: Kubernetes' documentation of init and sidecar containers, and of pod-level resources.
    """
    running: Quantities = {}
    peak: Quantities = {}
    for container in spec.items("initContainers"):
        asked = _container_requests(container)
        if container.text("restartPolicy") == "Always":  # a sidecar: it stays
            running = _sum(running, asked)
            peak = _largest(peak, running)
        else:
            peak = _largest(peak, _sum(running, asked))
    total = reduce(_sum, map(_container_requests, spec.items("containers")), running)
    whole_pod = spec.part("resources").quantities("requests")
    return _sum(_largest(total, peak) | whole_pod, spec.quantities("overhead"))


def _container_requests(container: Fields) -> Quantities:
    resources = container.part("resources")
    return resources.quantities("limits") | resources.quantities("requests")


def _sum(left: Quantities, right: Quantities) -> Quantities:
    return {name: left.get(name, Decimal(0)) + right.get(name, Decimal(0)) for name in left | right}


def _largest(left: Quantities, right: Quantities) -> Quantities:
    return {name: max(left.get(name, Decimal(0)), right.get(name, Decimal(0))) for name in left | right}
