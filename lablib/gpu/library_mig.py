"""NVML's C functions for MIG, over simulated GPUs. Does no I/O.

Instances can be made where the silicon allows it and nowhere else (mig.py).
"""

from __future__ import annotations

from typing import Any, Final

import pynvml

from lablib.gpu.handles import Devices, number_of, of_device, put, put_handle
from lablib.gpu.mig import Placement, Profile, legal_starts, occupied_slices
from lablib.gpu.simulation import SimulatedGpu

PROFILE_NUMBERS: Final = {0: 19, 1: 14, 2: 9, 3: 5, 4: 0, 7: 20, 9: 15}
"""Profile ids by NVML_GPU_INSTANCE_PROFILE_*: 1, 2, 3, 4 and 7 slices, then 1_SLICE_REV1 and _REV2."""
INSTANCES: Final = 1 << 16
"""An instance's handle is its GPU's index times this, plus its id."""


def profile_of(gpu: SimulatedGpu, number: int) -> Profile | None:
    """The profile of that id on this model."""
    return next((profile for profile in gpu.profiles if profile.number == number), None)


def free_starts(gpu: SimulatedGpu, profile: Profile) -> tuple[int, ...]:
    """Where one more instance of the profile could start."""
    made = sum(each == profile for each, _ in gpu.instances.values())
    occupied = occupied_slices(placement for _, placement in gpu.instances.values())
    return legal_starts(profile, occupied) if made < profile.most else ()


class MigLibrary(Devices):
    """The part of the driver's library that cuts GPUs."""

    @of_device
    def nvmlDeviceGetMigMode(self, gpu: SimulatedGpu, current: Any, pending: Any) -> int:
        if not gpu.profiles:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        put(pending, gpu.mig)
        return put(current, gpu.mig)

    @of_device
    def nvmlDeviceSetMigMode(self, gpu: SimulatedGpu, mode: int, status: Any) -> int:
        if not gpu.profiles:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if gpu.instances:
            return int(pynvml.NVML_ERROR_IN_USE)
        gpu.mig = mode == pynvml.NVML_DEVICE_MIG_ENABLE
        return put(status, pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: SimulatedGpu, count: Any) -> int:
        return put(count, max((profile.most for profile in gpu.profiles), default=0))

    @of_device
    def nvmlDeviceGetGpuInstanceProfileInfo(self, gpu: SimulatedGpu, index: int, info: Any) -> int:
        profile = profile_of(gpu, PROFILE_NUMBERS.get(index, -1))
        if profile is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        to = info._obj
        to.id, to.sliceCount, to.instanceCount = profile.number, profile.compute, profile.most
        to.multiprocessorCount = profile.sms
        to.memorySizeMB = gpu.state.model.memory_mib * profile.size // 8
        return int(pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetGpuInstancePossiblePlacements_v2(
        self, gpu: SimulatedGpu, number: int, placements: Any, count: Any
    ) -> int:
        profile = profile_of(gpu, number)
        if profile is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if placements is not None:
            array = getattr(placements, "_obj", placements)
            for index, start in enumerate(profile.starts[: count._obj.value]):
                array[index].start, array[index].size = start, profile.size
        return put(count, len(profile.starts))

    @of_device
    def nvmlDeviceGetGpuInstanceRemainingCapacity(self, gpu: SimulatedGpu, number: int, count: Any) -> int:
        profile = profile_of(gpu, number)
        if profile is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        made = sum(each == profile for each, _ in gpu.instances.values())
        return put(count, min(len(free_starts(gpu, profile)), profile.most - made))

    @of_device
    def nvmlDeviceCreateGpuInstanceWithPlacement(
        self, gpu: SimulatedGpu, number: int, placement: Any, handle: Any
    ) -> int:
        wanted = getattr(placement, "_obj", placement)
        return self._create(gpu, number, wanted.start, handle)

    @of_device
    def nvmlDeviceCreateGpuInstance(self, gpu: SimulatedGpu, number: int, handle: Any) -> int:
        return self._create(gpu, number, None, handle)

    def _create(self, gpu: SimulatedGpu, number: int, start: int | None, handle: Any) -> int:
        profile = profile_of(gpu, number)
        if profile is None or not gpu.mig:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if start is not None and start not in profile.starts:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        starts = free_starts(gpu, profile)
        if not starts or (start is not None and start not in starts):
            return int(pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES)
        instance = next(each for each in range(1, INSTANCES) if each not in gpu.instances)
        where = starts[0] if start is None else start
        gpu.instances[instance] = (profile, Placement(where, profile.size))
        return put_handle(handle, self.gpus.index(gpu) * INSTANCES + instance)

    def _instance(self, handle: Any) -> tuple[SimulatedGpu, int] | None:
        index, instance = divmod(number_of(handle), INSTANCES)
        if not 0 <= index < len(self.gpus) or instance not in self.gpus[index].instances:
            return None
        return self.gpus[index], instance

    def nvmlGpuInstanceDestroy(self, handle: Any) -> int:
        found = self._instance(handle)
        if found is None:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu, instance = found
        del gpu.instances[instance]
        return int(pynvml.NVML_SUCCESS)

    def nvmlGpuInstanceGetInfo(self, handle: Any, info: Any) -> int:
        found = self._instance(handle)
        if found is None:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu, instance = found
        profile, placement = gpu.instances[instance]
        info._obj.id, info._obj.profileId = instance, profile.number
        info._obj.placement.start, info._obj.placement.size = placement.start, placement.size
        return int(pynvml.NVML_SUCCESS)

    @of_device
    def nvmlDeviceGetGpuInstances(self, gpu: SimulatedGpu, number: int, handles: Any, count: Any) -> int:
        index = self.gpus.index(gpu)
        found = [instance for instance, (profile, _) in gpu.instances.items() if profile.number == number]
        array = getattr(handles, "_obj", handles)
        for place, instance in enumerate(found):
            array[place] = type(array[place]).from_buffer_copy(
                (index * INSTANCES + instance + 1).to_bytes(8, "little")
            )
        return put(count, len(found))
