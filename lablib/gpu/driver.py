"""A simulated NVIDIA driver under the real nvidia-ml-py, in this process. Swaps a library, and puts it back.

    with SimulatedDriver([SimulatedGpu("H100", script=[Change(5, utilization=1.0)])]):
        pynvml.nvmlInit()
        ...

nvidia-ml-py looks each C function up by name in the library that it has loaded. Here that library is a Python
object with methods of those names (library.py). So programs call the real bindings, and nothing outside this
process is led to believe that there is a GPU. simulation.py says how the GPUs behave.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pynvml

from lablib.clock import Clock, SystemClock
from lablib.gpu.library import Library
from lablib.gpu.simulation import SimulatedGpu


class SimulatedDriver:
    """Loads the simulated driver for the length of a `with`.

    Args:
        gpus: in the driver's order.
        clock: what time passes by.
    """

    def __init__(self, gpus: Sequence[SimulatedGpu], clock: Clock | None = None) -> None:
        self._library = Library(gpus, clock or SystemClock())
        self._before: tuple[Any, dict[str, Any]] = (None, {})

    def __enter__(self) -> Self:
        self._before = (pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache))
        pynvml.nvmlLib = self._library
        pynvml._nvmlGetFunctionPointer_cache.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pynvml.nvmlLib, cache = self._before
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml._nvmlGetFunctionPointer_cache.update(cache)
