"""What a GPU's sensors say at one moment, and what follows from it. Does no I/O.

`Telemetry` is the seam: nvml.py reads it from a driver, real or simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from lablib.errors import GpuError

IDLE: Final = "idle"
POWER_CAP: Final = "software power cap"
THERMAL: Final = "software thermal slowdown"
HARDWARE: Final = "hardware slowdown"
HARDWARE_THERMAL: Final = "hardware thermal slowdown"

REASONS: Final = {
    0x1: IDLE,
    0x2: "application clocks",
    0x4: POWER_CAP,
    0x8: HARDWARE,
    0x10: "sync boost",
    0x20: THERMAL,
    0x40: HARDWARE_THERMAL,
    0x80: "power brake",
    0x100: "display clocks",
}
"""NVML's bits for why the clocks are lower than they could be."""


@dataclass(frozen=True)
class Sample:
    """One reading of one GPU. None: this GPU or driver doesn't tell."""

    device: int
    """Index in the driver's order."""
    model: str
    """The name that the driver gives."""
    temperature_celsius: int | None = None
    margin_celsius: int | None = None
    """Degrees left before it slows down, where the driver itself says so."""
    max_operating_celsius: int | None = None
    """Above it the driver trims the clocks."""
    slowdown_celsius: int | None = None
    """Above it the hardware halves the clocks, or worse."""
    shutdown_celsius: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    clock_mhz: int | None = None
    """Of the streaming multiprocessors."""
    max_clock_mhz: int | None = None
    reasons: frozenset[str] = frozenset()
    """Why the clock is lower than it could be: values of REASONS."""
    thermal_violation_ns: int | None = None
    """How long heat has held the clocks down since the driver was loaded."""
    power_violation_ns: int | None = None
    utilization: float | None = None
    """Share of the last moments in which some kernel ran, 0 to 1; not how much of the GPU it filled."""
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None
    uncorrectable_errors: int | None = None
    """ECC errors since the driver was loaded."""

    @property
    def throttled(self) -> bool:
        """True when heat holds the clocks down now."""
        return bool(self.reasons & {THERMAL, HARDWARE, HARDWARE_THERMAL})


class Telemetry(Protocol):
    """A source of samples."""

    @property
    def source(self) -> str:
        """Where the readings come from, in words."""
        ...

    def count(self) -> int:
        """How many GPUs there are."""
        ...

    def sample(self, device: int) -> Sample:
        """A reading, now.

        Raises:
            GpuError: there is no such GPU, or it doesn't answer any more.
        """
        ...


def thermal_margin(sample: Sample) -> int:
    """Degrees Celsius left before this GPU slows down; negative when it is past that.

    What the driver says itself comes first; else the distance to the first threshold that the sample knows.

    Raises:
        GpuError: the sample knows neither.
    """
    if sample.margin_celsius is not None:
        return sample.margin_celsius
    known = [each for each in (sample.max_operating_celsius, sample.slowdown_celsius) if each is not None]
    if not known or sample.temperature_celsius is None:
        raise GpuError(
            "This GPU tells neither a margin nor a temperature with a threshold",
            where=f"GPU {sample.device}, {sample.model}",
            remedy="Read the maker's data sheet, and pass the threshold yourself",
        )
    return min(known) - sample.temperature_celsius
