"""The simulated driver, asked through the real nvidia-ml-py; and what our telemetry makes of its answers."""

import ctypes

import pynvml
import pytest

from lablib.clock import ManualClock
from lablib.errors import GpuError
from lablib.gpu.driver import SimulatedDriver
from lablib.gpu.mig import PROFILES
from lablib.gpu.models import MODELS
from lablib.gpu.nvml import NvmlTelemetry, has_driver, nvml, open_telemetry
from lablib.gpu.simulation import Change, Fault, SimulatedGpu, State, advance
from lablib.gpu.telemetry import HARDWARE_THERMAL, IDLE, POWER_CAP, THERMAL, Sample, thermal_margin

BUSY = Change(0, utilization=1.0)


@pytest.fixture
def clock():
    return ManualClock()


def driver(clock, *gpus):
    return SimulatedDriver(gpus or (SimulatedGpu("H100"),), clock)


def test_the_real_bindings_read_what_the_model_says(clock):
    with driver(clock, SimulatedGpu("H100"), SimulatedGpu("T4")):
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetCount() == 2
        handle = pynvml.nvmlDeviceGetHandleByIndex(1)
        assert pynvml.nvmlDeviceGetName(handle) == "Tesla T4"
        assert pynvml.nvmlDeviceGetIndex(handle) == 1
        assert pynvml.nvmlDeviceGetMemoryInfo(handle).total == 15360 * 1024**2
        assert pynvml.nvmlDeviceGetUUID(handle).startswith("GPU-")
        with pytest.raises(pynvml.NVMLError_FunctionNotFound):
            pynvml.nvmlDeviceGetFanSpeed(handle)
        pynvml.nvmlShutdown()


def test_what_was_loaded_before_comes_back(clock):
    library, cached = pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache)
    with driver(clock), driver(clock), nvml():
        assert pynvml.nvmlLib is not library
    assert pynvml.nvmlLib is library
    assert pynvml._nvmlGetFunctionPointer_cache == cached


def test_only_time_changes_a_reading(clock):
    with driver(clock, SimulatedGpu("H100", [BUSY])), nvml() as telemetry:
        first = telemetry.sample(0)
        assert telemetry.sample(0) == first
        clock.sleep(30)
        assert telemetry.sample(0).temperature_celsius > first.temperature_celsius


def test_an_idle_gpu_idles(clock):
    with driver(clock), nvml() as telemetry:
        clock.sleep(600)
        sample = telemetry.sample(0)
    assert sample.reasons == {IDLE}
    assert (sample.clock_mhz, sample.thermal_violation_ns, sample.power_violation_ns) == (1980, 0, 0)
    assert sample.temperature_celsius == 29


def test_a_busy_gpu_in_cool_air_meets_its_power_limit(clock):
    with driver(clock, SimulatedGpu("H100", [BUSY])), nvml() as telemetry:
        clock.sleep(300)
        sample = telemetry.sample(0)
    assert sample.reasons == {POWER_CAP}
    assert sample.power_watts == pytest.approx(sample.power_limit_watts)
    assert sample.thermal_violation_ns == 0
    assert sample.power_violation_ns == 300 * 10**9
    assert not sample.throttled


def test_a_busy_gpu_in_hot_air_holds_its_temperature_by_its_clock(clock):
    with driver(clock, SimulatedGpu("H100", [BUSY], ambient_celsius=60)), nvml() as telemetry:
        clock.sleep(600)
        sample = telemetry.sample(0)
    assert sample.throttled
    assert sample.reasons == {THERMAL}
    assert sample.temperature_celsius <= sample.slowdown_celsius
    assert sample.clock_mhz < 0.9 * sample.max_clock_mhz
    assert sample.thermal_violation_ns > 400 * 10**9


@pytest.mark.parametrize("name", ["A100-40", "A100-80", "H100", "H200", "L40S", "T4"])
@pytest.mark.parametrize("ambient", [25, 50, 65, 85])
def test_reasons_clocks_and_counters_agree_at_every_moment(name, ambient):
    script = [Change(5, utilization=1.0), Change(90, utilization=0.3), Change(120, utilization=1.0)]
    state = State.new(MODELS[name], ambient)
    for second in range(1, 200):
        before, state = state, advance(state, script, second)
        if state.fault is Fault.LOST:
            break
        hot = state.reasons & {THERMAL, HARDWARE_THERMAL}
        assert bool(state.reasons - {IDLE}) == (state.clock < 1.0 and state.utilization > 0)
        assert state.power_watts <= state.power_limit_watts + 1e-6
        assert 0 <= state.thermal_violation_ns - before.thermal_violation_ns <= 10**9
        assert state.thermal_violation_ns > before.thermal_violation_ns or not hot
        assert HARDWARE_THERMAL not in state.reasons or state.clock <= 0.5


def test_a_gpu_that_is_too_hot_to_live_is_lost(clock):
    with driver(clock, SimulatedGpu("T4", [BUSY], ambient_celsius=95)), nvml() as telemetry:
        clock.sleep(300)
        with pytest.raises(GpuError, match="GPU is lost") as caught:
            telemetry.sample(0)
    assert caught.value.where == "GPU 0"
    assert "reset" in caught.value.remedy


def test_a_stuck_sensor_stays_and_a_lost_one_is_silent(clock):
    stuck = SimulatedGpu("T4", [BUSY, Change(10, fault=Fault.SENSOR_STUCK)])
    silent = SimulatedGpu("T4", [Change(10, fault=Fault.SENSOR_LOST)])
    with driver(clock, stuck, silent), nvml() as telemetry:
        clock.sleep(10.2)
        at_fault = telemetry.sample(0).temperature_celsius
        clock.sleep(100)
        assert telemetry.sample(0).temperature_celsius == at_fault
        assert stuck.state.temperature_celsius > at_fault + 10
        assert telemetry.sample(1).temperature_celsius is None


def test_a_change_can_come_while_a_program_runs(clock):
    gpu = SimulatedGpu("A100-80")
    with driver(clock, gpu), nvml() as telemetry:
        clock.sleep(5)
        telemetry.sample(0)
        gpu.change(Change(0, memory_used_mib=1000, uncorrectable_errors=2))
        clock.sleep(1)
        sample = telemetry.sample(0)
    assert (sample.memory_used_mib, sample.uncorrectable_errors) == (1000, 2)


def test_the_power_limit_can_be_lowered_within_bounds(clock):
    with driver(clock, SimulatedGpu("H100", [BUSY])), nvml() as telemetry:
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceSetPowerManagementLimit(handle, 350_000)
        clock.sleep(10)
        assert telemetry.sample(0).power_watts == pytest.approx(350)
        with pytest.raises(pynvml.NVMLError_InvalidArgument):
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, 100_000)


# MIG


@pytest.fixture
def cut(clock):
    """A handle of an H100 in MIG mode."""
    with driver(clock), nvml():
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceSetMigMode(handle, pynvml.NVML_DEVICE_MIG_ENABLE)
        yield handle


def create(handle, number, start=None):
    if start is None:
        return pynvml.nvmlDeviceCreateGpuInstance(handle, number)
    placement = pynvml.c_nvmlGpuInstancePlacement_t(start, 0)
    return pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(handle, number, ctypes.byref(placement))


def test_profiles_and_their_starts_are_those_of_the_table(cut):
    found = {}
    for index in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = pynvml.nvmlDeviceGetGpuInstanceProfileInfo(cut, index, version=1)
        except pynvml.NVMLError_NotSupported:
            continue
        count = ctypes.c_uint()
        pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(cut, info.id, None, ctypes.byref(count))
        places = (pynvml.c_nvmlGpuInstancePlacement_t * count.value)()
        pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(cut, info.id, places, ctypes.byref(count))
        found[info.id] = (tuple(place.start for place in places), info.multiprocessorCount)
    assert found == {profile.number: (profile.starts, profile.sms) for profile in PROFILES["H100"]}


def test_an_instance_starts_where_silicon_allows_and_nowhere_else(cut):
    create(cut, 19, 1)
    with pytest.raises(pynvml.NVMLError_InsufficientResources):
        create(cut, 9, 0)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        create(cut, 9, 2)
    info = pynvml.nvmlGpuInstanceGetInfo(create(cut, 9))
    assert (info.profileId, info.placement.start, info.placement.size) == (9, 4, 4)
    assert pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(cut, 9) == 0
    assert pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(cut, 19) == 3


def test_at_most_one_instance_has_the_media_engines(cut):
    create(cut, 20)
    assert pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(cut, 20) == 0
    with pytest.raises(pynvml.NVMLError_InsufficientResources):
        create(cut, 20)


def test_a_destroyed_instance_gives_its_slices_back(cut):
    instance = create(cut, 0)
    with pytest.raises(pynvml.NVMLError_InsufficientResources):
        create(cut, 19)
    with pytest.raises(pynvml.NVMLError_InUse):
        pynvml.nvmlDeviceSetMigMode(cut, pynvml.NVML_DEVICE_MIG_DISABLE)
    pynvml.nvmlGpuInstanceDestroy(instance)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlGpuInstanceDestroy(instance)
    create(cut, 19)
    listed, count = (pynvml.c_nvmlGpuInstance_t * 7)(), ctypes.c_uint(7)
    pynvml.nvmlDeviceGetGpuInstances(cut, 19, listed, ctypes.byref(count))
    assert count.value == 1
    assert pynvml.nvmlGpuInstanceGetInfo(listed[0]).profileId == 19


def test_a_gpu_without_mig_says_so(clock):
    with driver(clock, SimulatedGpu("T4")), nvml():
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetMigMode(handle)


def test_without_mig_mode_nothing_is_cut(clock):
    with driver(clock), nvml(), pytest.raises(pynvml.NVMLError_NotSupported):
        create(pynvml.nvmlDeviceGetHandleByIndex(0), 19)


# Telemetry


def test_a_simulated_driver_is_said_to_be_one(clock):
    with driver(clock), open_telemetry() as telemetry:
        assert telemetry.source == "a simulated driver"
        assert telemetry.count() == 1


@pytest.mark.skipif(has_driver(), reason="a real NVIDIA driver answers here")
def test_without_a_driver_a_simulated_one_is_opened(clock):
    with open_telemetry([SimulatedGpu("L40S")], clock) as telemetry:
        assert telemetry.sample(0).model == "NVIDIA L40S"
    with pytest.raises(GpuError, match="Library Not Found"), nvml():
        pass


@pytest.mark.skipif(not has_driver(), reason="needs a GPU: no NVIDIA driver answers")
def test_a_real_driver_is_preferred_and_tells_a_margin():
    with open_telemetry() as telemetry:
        assert telemetry.source.startswith("the NVIDIA driver")
        sample = telemetry.sample(0)
        assert -20 < thermal_margin(sample) < 100
        assert 0 < sample.temperature_celsius < 110


def test_a_gpu_that_is_not_there_is_named(clock):
    with driver(clock), nvml(), pytest.raises(GpuError) as caught:
        NvmlTelemetry().sample(7)
    assert caught.value.where == "GPU 7"


def test_an_unknown_model_is_refused():
    with pytest.raises(GpuError, match="no GPU model H1000"):
        SimulatedGpu("H1000")
    with pytest.raises(GpuError, match="no GPU model G2"):
        SimulatedGpu("G2")


@pytest.mark.parametrize(
    ("fields", "margin"),
    [
        ({"margin_celsius": 12, "temperature_celsius": 60, "max_operating_celsius": 87}, 12),
        ({"margin_celsius": 0, "temperature_celsius": 60, "max_operating_celsius": 87}, 0),
        ({"temperature_celsius": 60, "max_operating_celsius": 85, "slowdown_celsius": 89}, 25),
        ({"temperature_celsius": 60, "slowdown_celsius": 93}, 33),
        ({"temperature_celsius": 90, "max_operating_celsius": 85}, -5),
        ({"temperature_celsius": 0, "slowdown_celsius": 93}, 93),
    ],
)
def test_a_margin_is_what_the_driver_says_or_the_first_threshold(fields, margin):
    assert thermal_margin(Sample(0, "x", **fields)) == margin


@pytest.mark.parametrize("fields", [{}, {"temperature_celsius": 60}, {"max_operating_celsius": 85}])
def test_a_margin_that_nobody_can_know_is_refused(fields):
    with pytest.raises(GpuError, match="neither a margin"):
        thermal_margin(Sample(3, "x", **fields))
