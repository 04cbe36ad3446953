"""Handles and references as C passes them, for the simulated driver. Does no I/O."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import pynvml

from lablib.clock import Clock
from lablib.gpu.simulation import Fault, SimulatedGpu


class Devices:
    """The GPUs of a driver, and the time since it was loaded."""

    def __init__(self, gpus: Sequence[SimulatedGpu], clock: Clock) -> None:
        self.gpus = tuple(gpus)
        self._clock, self._loaded = clock, clock.now()

    def seconds(self) -> float:
        """Since the driver was loaded."""
        return self._clock.now() - self._loaded


def of_device(function: Callable[..., int]) -> Callable[..., int]:
    """A C function whose first argument is a device's handle: it gets the GPU and its state instead."""

    @wraps(function)
    def answer(self: Devices, handle: Any, *arguments: Any) -> int:
        number = number_of(handle)
        if not 0 <= number < len(self.gpus):
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu = self.gpus[number]
        if gpu.at(self.seconds()).fault is Fault.LOST:
            return int(pynvml.NVML_ERROR_GPU_IS_LOST)
        return function(self, gpu, *arguments)

    return answer


def number_of(handle: Any) -> int:
    """The number that put_handle wrote; -1 for no handle."""
    return (ctypes.cast(handle, ctypes.c_void_p).value or 0) - 1


def put(reference: Any, value: float | None) -> int:
    """Write through a reference; no value is no answer."""
    if value is None:
        return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
    reference._obj.value = round(value)
    return int(pynvml.NVML_SUCCESS)


def put_text(buffer: Any, text: str) -> int:
    """Write into a character buffer."""
    buffer.value = text.encode()
    return int(pynvml.NVML_SUCCESS)


def put_handle(reference: Any, number: int) -> int:
    """Write a handle: its index plus one, since 0 is no handle."""
    pointer = ctypes.c_void_p(number + 1)
    ctypes.memmove(ctypes.addressof(reference._obj), ctypes.addressof(pointer), ctypes.sizeof(pointer))
    return int(pynvml.NVML_SUCCESS)
