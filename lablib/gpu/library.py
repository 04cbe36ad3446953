"""NVML's C functions over simulated GPUs: what they are and what their sensors say. Does no I/O.

Each method is named as the C function and returns an NVML status. A function that is not here answers
FUNCTION_NOT_FOUND in nvidia-ml-py, as an older driver's would. library_mig.py has the functions for MIG.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pynvml

from lablib.gpu.handles import of_device, put, put_handle, put_text
from lablib.gpu.library_mig import MigLibrary
from lablib.gpu.simulation import SimulatedGpu
from lablib.gpu.telemetry import REASONS
from lablib.units import MIB

DRIVER_VERSION: Final = b"simulated"


class Library(MigLibrary):
    """The driver's library: methods named as the C functions. Each returns an NVML status."""

    # The driver

    def nvmlInitWithFlags(self, _flags: Any) -> int:
        return int(pynvml.NVML_SUCCESS)

    def nvmlShutdown(self) -> int:
        return int(pynvml.NVML_SUCCESS)

    def nvmlSystemGetDriverVersion(self, buffer: Any, _size: Any) -> int:
        buffer.value = DRIVER_VERSION
        return int(pynvml.NVML_SUCCESS)

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        return put(count, len(self.gpus))

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        if not 0 <= index.value < len(self.gpus):
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return put_handle(handle, index.value)

    # What a device is

    @of_device
    def nvmlDeviceGetIndex(self, gpu: SimulatedGpu, index: Any) -> int:
        return put(index, self.gpus.index(gpu))

    @of_device
    def nvmlDeviceGetName(self, gpu: SimulatedGpu, buffer: Any, _size: Any) -> int:
        return put_text(buffer, gpu.state.model.nvml_name)

    @of_device
    def nvmlDeviceGetUUID(self, gpu: SimulatedGpu, buffer: Any, _size: Any) -> int:
        return put_text(buffer, gpu.uuid)

    @of_device
    def nvmlDeviceGetMemoryInfo(self, gpu: SimulatedGpu, info: Any) -> int:
        total, used = gpu.state.model.memory_mib * MIB, gpu.state.memory_used_mib * MIB
        info._obj.total, info._obj.used, info._obj.free = total, used, total - used
        return int(pynvml.NVML_SUCCESS)

    # Heat, power, clocks

    @of_device
    def nvmlDeviceGetTemperature(self, gpu: SimulatedGpu, _sensor: Any, value: Any) -> int:
        return put(value, gpu.state.reported_celsius)

    @of_device
    def nvmlDeviceGetTemperatureThreshold(self, gpu: SimulatedGpu, kind: Any, value: Any) -> int:
        thresholds = gpu.state.model.thresholds
        known = {
            pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN: thresholds.shutdown,
            pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: thresholds.slowdown,
            pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX: thresholds.max_operating,
        }
        return put(value, known.get(kind.value))

    @of_device
    def nvmlDeviceGetMarginTemperature(self, gpu: SimulatedGpu, info: Any) -> int:
        if gpu.state.model.compute < (8, 9) or gpu.state.reported_celsius is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        margin = gpu.state.model.thresholds.max_operating - round(gpu.state.reported_celsius)
        info._obj.marginTemperature = margin
        return int(pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetPowerUsage(self, gpu: SimulatedGpu, milliwatts: Any) -> int:
        return put(milliwatts, gpu.state.power_watts * 1000)

    @of_device
    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: SimulatedGpu, milliwatts: Any) -> int:
        return put(milliwatts, gpu.state.power_limit_watts * 1000)

    @of_device
    def nvmlDeviceGetPowerManagementLimit(self, gpu: SimulatedGpu, milliwatts: Any) -> int:
        return put(milliwatts, gpu.state.power_limit_watts * 1000)

    @of_device
    def nvmlDeviceSetPowerManagementLimit(self, gpu: SimulatedGpu, milliwatts: Any) -> int:
        watts = milliwatts.value / 1000
        if not 0.3 * gpu.state.model.power_limit_watts <= watts <= gpu.state.model.power_limit_watts:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu.state = replace(gpu.state, power_limit_watts=watts)
        return int(pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetClockInfo(self, gpu: SimulatedGpu, kind: Any, value: Any) -> int:
        if kind.value != pynvml.NVML_CLOCK_SM:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return put(value, gpu.state.clock * gpu.state.model.max_sm_clock_mhz)

    @of_device
    def nvmlDeviceGetMaxClockInfo(self, gpu: SimulatedGpu, kind: Any, value: Any) -> int:
        if kind.value != pynvml.NVML_CLOCK_SM:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return put(value, gpu.state.model.max_sm_clock_mhz)

    @of_device
    def nvmlDeviceGetCurrentClocksEventReasons(self, gpu: SimulatedGpu, bits: Any) -> int:
        return put(bits, sum(bit for bit, reason in REASONS.items() if reason in gpu.state.reasons))

    @of_device
    def nvmlDeviceGetViolationStatus(self, gpu: SimulatedGpu, policy: Any, time: Any) -> int:
        counters = {
            pynvml.NVML_PERF_POLICY_THERMAL: gpu.state.thermal_violation_ns,
            pynvml.NVML_PERF_POLICY_POWER: gpu.state.power_violation_ns,
        }
        if policy.value not in counters:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        time._obj.referenceTime = round(gpu.state.seconds * 1e6)
        time._obj.violationTime = counters[policy.value]
        return int(pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetUtilizationRates(self, gpu: SimulatedGpu, rates: Any) -> int:
        rates._obj.gpu = round(100 * gpu.state.utilization)
        rates._obj.memory = round(60 * gpu.state.utilization)
        return int(pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetTotalEccErrors(self, gpu: SimulatedGpu, kind: Any, _counter: Any, count: Any) -> int:
        uncorrected = kind.value == pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
        return put(count, gpu.state.uncorrectable_errors if uncorrected else 0)
