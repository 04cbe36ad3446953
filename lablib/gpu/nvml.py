"""GPU sensors through NVIDIA's own bindings, over a real driver or a simulated one. Does I/O.

with open_telemetry() as telemetry:
    print(telemetry.source, telemetry.sample(0))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pynvml

from lablib.clock import Clock
from lablib.errors import GpuError
from lablib.gpu.driver import SimulatedDriver
from lablib.gpu.library import DRIVER_VERSION
from lablib.gpu.simulation import SimulatedGpu
from lablib.gpu.telemetry import REASONS, Sample
from lablib.units import MIB

UNKNOWN: Final = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_DATA,
    pynvml.NVML_ERROR_DEPRECATED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
)
"""Answers that mean: this GPU, or this driver, doesn't tell."""
NO_DRIVER: Final = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)


class NvmlTelemetry:
    """Samples from the driver that is loaded; inside `nvml()` or open_telemetry()."""

    @property
    def source(self) -> str:
        """Which driver it is."""
        version = _text(pynvml.nvmlSystemGetDriverVersion())
        simulated = version == DRIVER_VERSION.decode()
        return "a simulated driver" if simulated else f"the NVIDIA driver {version} of this machine"

    def count(self) -> int:
        """How many GPUs the driver sees."""
        return int(_asked(pynvml.nvmlDeviceGetCount))

    def sample(self, device: int) -> Sample:
        """A reading of one GPU, now.

        Raises:
            GpuError: there is no such GPU, or it is lost.
        """
        handle = _asked(pynvml.nvmlDeviceGetHandleByIndex, device, where=f"GPU {device}")

        def read(function: Callable[..., Any], *arguments: Any) -> Any:
            return _read(device, function, handle, *arguments)

        memory = read(pynvml.nvmlDeviceGetMemoryInfo)
        utilization = read(pynvml.nvmlDeviceGetUtilizationRates)
        bits = read(pynvml.nvmlDeviceGetCurrentClocksEventReasons) or 0
        return Sample(
            device,
            _text(read(pynvml.nvmlDeviceGetName)),
            temperature_celsius=read(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
            margin_celsius=read(pynvml.nvmlDeviceGetMarginTemperature),
            max_operating_celsius=_threshold(read, pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX),
            slowdown_celsius=_threshold(read, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
            shutdown_celsius=_threshold(read, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN),
            power_watts=_thousandth(read(pynvml.nvmlDeviceGetPowerUsage)),
            power_limit_watts=_thousandth(read(pynvml.nvmlDeviceGetEnforcedPowerLimit)),
            clock_mhz=read(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM),
            max_clock_mhz=read(pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_SM),
            reasons=frozenset(reason for bit, reason in REASONS.items() if bits & bit),
            thermal_violation_ns=_violation(read, pynvml.NVML_PERF_POLICY_THERMAL),
            power_violation_ns=_violation(read, pynvml.NVML_PERF_POLICY_POWER),
            utilization=None if utilization is None else utilization.gpu / 100,
            memory_used_mib=None if memory is None else memory.used // MIB,
            memory_total_mib=None if memory is None else memory.total // MIB,
            uncorrectable_errors=read(
                pynvml.nvmlDeviceGetTotalEccErrors,
                pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                pynvml.NVML_VOLATILE_ECC,
            ),
        )


@contextmanager
def nvml() -> Iterator[NvmlTelemetry]:
    """The driver that is loaded, real or simulated.

    Raises:
        GpuError: there is none.
    """
    _asked(pynvml.nvmlInit, where="NVML")
    try:
        yield NvmlTelemetry()
    finally:
        pynvml.nvmlShutdown()


@contextmanager
def open_telemetry(
    simulated: Sequence[SimulatedGpu] = (), clock: Clock | None = None
) -> Iterator[NvmlTelemetry]:
    """The real driver where there is one, else a simulated one; `source` says which.

    Args:
        simulated: the GPUs where there is no real driver; an H100 and a T4 if empty.
        clock: what the simulated driver's time passes by.
    """
    with ExitStack() as stack:
        if not has_driver():
            gpus = simulated or (SimulatedGpu("H100"), SimulatedGpu("T4"))
            stack.enter_context(SimulatedDriver(gpus, clock))
        yield stack.enter_context(nvml())


def has_driver() -> bool:
    """True where a real NVIDIA driver answers, or a simulated one is loaded."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    pynvml.nvmlShutdown()
    return True


def _asked(function: Callable[..., Any], *arguments: Any, where: str = "") -> Any:
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        remedy = "Install the NVIDIA driver, or use SimulatedDriver" if error.value in NO_DRIVER else ""
        raise GpuError(f"NVML says: {error}", where=where, remedy=remedy) from error


def _read(device: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function says; None when this GPU doesn't tell."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        if error.value in UNKNOWN:
            return None
        remedy = "Drain the node and reset the GPU" if error.value == pynvml.NVML_ERROR_GPU_IS_LOST else ""
        raise GpuError(f"NVML says: {error}", where=f"GPU {device}", remedy=remedy) from error


def _threshold(read: Callable[..., Any], kind: int) -> int | None:
    celsius = read(pynvml.nvmlDeviceGetTemperatureThreshold, kind)
    return celsius or None  # some drivers say 0 for a threshold that they don't have


def _violation(read: Callable[..., Any], policy: int) -> int | None:
    status = read(pynvml.nvmlDeviceGetViolationStatus, policy)
    return None if status is None else int(status.violationTime)


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or "unknown"
