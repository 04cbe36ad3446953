"""A GPU's behaviour over time: power makes heat, heat takes clocks away. Does no I/O.

Power follows utilisation and clock. Temperature follows power with one time constant. Above the maximum
operating temperature the driver trims the clock until the temperature holds; above the slowdown temperature
the hardware halves it; at the shutdown temperature the GPU is lost. Reasons and violation counters say
exactly what the clock went through. The heat resistance and the time constant are ours: nobody publishes
them for data-centre GPUs.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from lablib.errors import GpuError
from lablib.gpu.mig import PROFILES, Placement, Profile
from lablib.gpu.models import MODELS, GpuModel
from lablib.gpu.telemetry import HARDWARE, HARDWARE_THERMAL, IDLE, POWER_CAP, THERMAL

STEP_SECONDS: Final = 0.1
IDLE_SHARE: Final = 0.1
"""Of the power limit, when nothing runs."""
FULL_SHARE: Final = 1.08
"""Of the power limit, that full load would draw without a cap."""
RISE_CELSIUS: Final = 42.0
"""Above ambient, at the power limit, in the end."""
TIME_CONSTANT_SECONDS: Final = 30.0
LEAST_CLOCK: Final = 0.25
"""Of the maximum."""
TRIM_PER_SECOND: Final = 0.08
"""Share of the maximum clock that the driver takes away, or gives back, in a second."""


class Fault(StrEnum):
    """What can go wrong with a GPU."""

    NONE = "none"
    LOST = "lost"
    """It has fallen off the bus: every call answers GPU_IS_LOST."""
    SENSOR_STUCK = "sensor stuck"
    """The temperature stays what it was when the fault came."""
    SENSOR_LOST = "sensor lost"
    """The temperature can't be read."""


@dataclass(frozen=True)
class Change:
    """From `at_seconds` on; None leaves a thing as it was."""

    at_seconds: float
    utilization: float | None = None
    """0 to 1."""
    ambient_celsius: float | None = None
    memory_used_mib: int | None = None
    fault: Fault | None = None
    uncorrectable_errors: int = 0
    """That many more."""


@dataclass(frozen=True)
class State:
    """A simulated GPU at one moment."""

    model: GpuModel
    seconds: float = 0.0
    temperature_celsius: float = 30.0
    reported_celsius: float | None = 30.0
    """What the sensor says; None when it is lost."""
    heat_clock: float = 1.0
    """Share of the maximum clock that heat leaves."""
    clock: float = 1.0
    """Share of the maximum clock that it runs at."""
    power_watts: float = 0.0
    power_limit_watts: float = 0.0
    utilization: float = 0.0
    ambient_celsius: float = 25.0
    memory_used_mib: int = 0
    fault: Fault = Fault.NONE
    uncorrectable_errors: int = 0
    reasons: frozenset[str] = frozenset({IDLE})
    thermal_violation_ns: int = 0
    power_violation_ns: int = 0

    @classmethod
    def new(cls, model: GpuModel, ambient_celsius: float = 25.0) -> State:
        """A GPU that has idled for long."""
        idle_celsius = ambient_celsius + RISE_CELSIUS * IDLE_SHARE
        return cls(
            model,
            temperature_celsius=idle_celsius,
            reported_celsius=idle_celsius,
            power_watts=model.power_limit_watts * IDLE_SHARE,
            power_limit_watts=float(model.power_limit_watts),
            ambient_celsius=ambient_celsius,
        )


def advance(state: State, script: Sequence[Change], until_seconds: float) -> State:
    """The GPU at a later time, having gone through the changes between.

    Args:
        state: now.
        script: changes by time; those before `state.seconds` are over.
        until_seconds: when to stop; steps are of STEP_SECONDS.
    """
    while state.seconds + STEP_SECONDS <= until_seconds + 1e-9:
        for change in script:
            if state.seconds - 1e-9 <= change.at_seconds < state.seconds + STEP_SECONDS - 1e-9:
                state = changed(state, change)
        state = step(state)
    return state


def changed(state: State, change: Change) -> State:
    """The GPU just after a change."""
    wanted = {
        name: value
        for name in ("utilization", "ambient_celsius", "memory_used_mib", "fault")
        if (value := getattr(change, name)) is not None
    }
    errors = state.uncorrectable_errors + change.uncorrectable_errors
    return replace(state, uncorrectable_errors=errors, **wanted)


def step(state: State) -> State:
    """STEP_SECONDS later."""
    if state.fault is Fault.LOST:
        return replace(state, seconds=state.seconds + STEP_SECONDS)
    heat_clock = _heat_clock(state)
    power_clock = _power_clock(state)
    clock = min(heat_clock, power_clock)
    power = _power(state, clock)
    target = state.ambient_celsius + RISE_CELSIUS * power / state.model.power_limit_watts
    temperature = state.temperature_celsius + (target - state.temperature_celsius) * (
        STEP_SECONDS / TIME_CONSTANT_SECONDS
    )
    reasons = _reasons(state, heat_clock, power_clock)
    step_ns = round(STEP_SECONDS * 1e9)
    lost = temperature >= state.model.thresholds.shutdown
    return replace(
        state,
        seconds=round(state.seconds + STEP_SECONDS, 6),
        temperature_celsius=temperature,
        reported_celsius=_reported(state, temperature),
        heat_clock=heat_clock,
        clock=clock,
        power_watts=power,
        reasons=reasons,
        thermal_violation_ns=state.thermal_violation_ns
        + step_ns * bool(reasons & {THERMAL, HARDWARE_THERMAL}),
        power_violation_ns=state.power_violation_ns + step_ns * (POWER_CAP in reasons),
        fault=Fault.LOST if lost else state.fault,
    )


def _heat_clock(state: State) -> float:
    """What heat leaves of the clock: the driver trims while it is too hot and gives back while it is not."""
    thresholds = state.model.thresholds
    trim = TRIM_PER_SECOND * STEP_SECONDS
    if state.temperature_celsius >= thresholds.slowdown:
        return min(state.heat_clock, 0.5) if state.heat_clock > LEAST_CLOCK else LEAST_CLOCK
    if state.temperature_celsius >= thresholds.max_operating:
        return max(state.heat_clock - trim, LEAST_CLOCK)
    if state.temperature_celsius < thresholds.max_operating - 1:
        return min(state.heat_clock + trim, 1.0)
    return state.heat_clock


def _power_clock(state: State) -> float:
    """The clock at which power meets its limit."""
    if _power(state, 1.0) <= state.power_limit_watts:
        return 1.0
    idle = state.model.power_limit_watts * IDLE_SHARE
    above = _power(state, 1.0) - idle
    share = max(state.power_limit_watts - idle, 0.0) / above
    return max(math.cbrt(share), LEAST_CLOCK)


def _power(state: State, clock: float) -> float:
    """Watts: what idles, and what work adds with the cube of the clock."""
    limit = state.model.power_limit_watts
    return limit * (IDLE_SHARE + (FULL_SHARE - IDLE_SHARE) * state.utilization * clock**3)


def _reasons(state: State, heat_clock: float, power_clock: float) -> frozenset[str]:
    if not state.utilization:
        return frozenset({IDLE})
    if heat_clock < 1.0 and heat_clock <= power_clock:
        hot = state.temperature_celsius >= state.model.thresholds.slowdown
        return frozenset({HARDWARE, HARDWARE_THERMAL}) if hot else frozenset({THERMAL})
    return frozenset({POWER_CAP}) if power_clock < 1.0 else frozenset()


def _reported(state: State, temperature: float) -> float | None:
    match state.fault:
        case Fault.SENSOR_LOST:
            return None
        case Fault.SENSOR_STUCK:
            return state.reported_celsius
        case _:
            return temperature


class SimulatedGpu:
    """One GPU of a simulated driver.

    Args:
        model: a key of lablib.gpu.models.MODELS.
        script: what happens to it, by seconds since the driver was loaded.
        ambient_celsius: of the air around it.

    Raises:
        GpuError: there is no such model.
    """

    def __init__(self, model: str, script: Sequence[Change] = (), ambient_celsius: float = 25.0) -> None:
        if model not in MODELS or not MODELS[model].power_limit_watts:
            known = sorted(name for name, each in MODELS.items() if each.power_limit_watts)
            raise GpuError(f"There is no GPU model {model}", remedy=f"Choose one of {', '.join(known)}")
        self.script = list(script)
        self.state = State.new(MODELS[model], ambient_celsius)
        self.uuid = f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'{model}-{id(self)}')}"
        self.mig = False
        """Whether MIG mode is on."""
        self.instances: dict[int, tuple[Profile, Placement]] = {}
        """MIG instances by their id."""

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """What it can be cut into."""
        return PROFILES.get(self.state.model.name, ())

    def at(self, seconds: float) -> State:
        """Its state then; time only goes forward."""
        self.state = advance(self.state, self.script, seconds)
        return self.state

    def change(self, wanted: Change) -> None:
        """Something happens to it now, whatever time the change names."""
        self.script.append(replace(wanted, at_seconds=self.state.seconds))
