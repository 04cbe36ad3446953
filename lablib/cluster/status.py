"""How a cluster is, as one value. Does no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from lablib.cluster.health import Health


@dataclass(frozen=True)
class Status:
    """A cluster, as `status` finds it."""

    name: str
    components: tuple[Health, ...] = ()
    """Empty when the cluster is down."""
    nodes_ready: int = 0
    nodes: int = 0

    @property
    def well(self) -> bool:
        """True when every component is."""
        return bool(self.components) and all(component.well for component in self.components)
