"""A simulated NVIDIA driver under the real nvidia-ml-py, in this process. Swaps a library, and puts it back.

    with SimulatedDriver([SimulatedGpu("H100", script=[Change(5, utilization=1.0)])]):
        pynvml.nvmlInit()
        ...

nvidia-ml-py looks each C function up by name in the library that it has loaded. Here that library is a Python
object with methods of those names (library.py). So programs call the real bindings, and nothing outside this
process is led to believe that there is a GPU. simulation.py says how the GPUs behave.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pynvml

from lablib.clock import Clock, SystemClock
from lablib.errors import GpuError
from lablib.gpu.library import Library
from lablib.gpu.mig import PROFILES, Placement, Profile
from lablib.gpu.models import MODELS
from lablib.gpu.simulation import Change, State, advance


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

    def change(self, **wanted: Any) -> None:
        """Something happens to it now: fields of Change."""
        self.script.append(Change(self.state.seconds, **wanted))


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
