"""What a pod asks of GPUs, whatever notation it was written in. Does no I/O.

Kubernetes itself counts whole devices only. Whoever shares a GPU writes it down in a notation of its own:

    whole     resource nvidia.com/gpu                         number of GPUs
    HAMi      resources nvidia.com/gpu, nvidia.com/gpumem,    number of GPUs; MiB of each; percent of each
              nvidia.com/gpucores
    KAI       annotation gpu-fraction, or gpu-memory          share of one GPU; MiB of one GPU
    Alibaba   annotations alibabacloud.com/gpu-milli and      milli of each GPU; number of GPUs
              alibabacloud.com/gpu-count

Sources: the three projects' documentation. The lab's own resource lab/gpu-milli is what kube-scheduler sums
up and never the demand itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from lablib.errors import DemandError
from lablib.scheduling.model import Demand, Pod
from lablib.units import GPU_MILLI

WHOLE: Final = "nvidia.com/gpu"
HAMI_MEMORY: Final = "nvidia.com/gpumem"
HAMI_CORES: Final = "nvidia.com/gpucores"
KAI_FRACTION: Final = "gpu-fraction"
KAI_MEMORY: Final = "gpu-memory"
ALIBABA_MILLI: Final = "alibabacloud.com/gpu-milli"
ALIBABA_COUNT: Final = "alibabacloud.com/gpu-count"
MOST_GPUS: Final = 1024
"""More GPUs than this in one pod is a mistake."""


def gpu_demand(pod: Pod) -> Demand:
    """What the pod asks for.

    Raises:
        DemandError: two notations at once, or a value that can't be: with the pod, the key and the value.
    """
    notations = [read(pod) for read in (_whole_or_hami, _kai, _alibaba)]
    asked = [gpus for gpus in notations if gpus is not None]
    if len(asked) > 1:
        raise DemandError(
            "It asks for GPUs in two notations at once", where=_where(pod), remedy="Keep one of them"
        )
    gpus, milli, memory_mib = asked[0] if asked else (0, 0, 0)
    return Demand(pod.cpu_milli, pod.memory_mib, gpus, milli, memory_mib, pod.gpu_models)


GpuShare = tuple[int, int, int]
"""Number of GPUs; GPU-milli of each; MiB of each."""


def _whole_or_hami(pod: Pod) -> GpuShare | None:
    gpus = _whole_number(pod, pod.resources, WHOLE, MOST_GPUS)
    memory_mib = _whole_number(pod, pod.resources, HAMI_MEMORY)
    percent = _whole_number(pod, pod.resources, HAMI_CORES, 100)
    if not gpus:
        if memory_mib or percent:
            raise _refusal(pod, WHOLE, "nothing", f"a number of GPUs beside {HAMI_MEMORY} and {HAMI_CORES}")
        return None
    if memory_mib or percent:
        return gpus, percent * GPU_MILLI // 100, memory_mib
    return gpus, GPU_MILLI, 0


def _kai(pod: Pod) -> GpuShare | None:
    fraction, memory = pod.annotations.get(KAI_FRACTION), pod.annotations.get(KAI_MEMORY)
    if fraction is not None and memory is not None:
        raise _refusal(pod, KAI_MEMORY, memory, f"either this or {KAI_FRACTION}")
    if memory is not None:
        return 1, 0, _positive(pod, KAI_MEMORY)
    if fraction is None:
        return None
    try:
        milli = int(Decimal(fraction) * GPU_MILLI)
    except (InvalidOperation, OverflowError, ValueError):
        milli = 0
    if not 0 < milli <= GPU_MILLI:
        raise _refusal(pod, KAI_FRACTION, fraction, "a share of one GPU, above 0 and at most 1")
    return 1, milli, 0


def _alibaba(pod: Pod) -> GpuShare | None:
    if ALIBABA_MILLI not in pod.annotations:
        if ALIBABA_COUNT in pod.annotations:
            raise _refusal(pod, ALIBABA_MILLI, "nothing", f"the milli of each GPU beside {ALIBABA_COUNT}")
        return None
    milli = _positive(pod, ALIBABA_MILLI, GPU_MILLI)
    return (_positive(pod, ALIBABA_COUNT, MOST_GPUS) if ALIBABA_COUNT in pod.annotations else 1), milli, 0


def _whole_number(pod: Pod, table: Mapping[str, int], key: str, most: int | None = None) -> int:
    value = table.get(key, 0)
    if value < 0 or (most is not None and value > most):
        raise _refusal(pod, key, str(value), f"0 to {most}" if most else "0 or more")
    return value


def _positive(pod: Pod, key: str, most: int | None = None) -> int:
    text = pod.annotations[key]
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    if value < 1 or (most is not None and value > most):
        raise _refusal(
            pod, key, text, f"a whole number from 1 to {most}" if most else "a whole number above 0"
        )
    return value


def _refusal(pod: Pod, key: str, value: str, wanted: str) -> DemandError:
    return DemandError(f"{key} is {value!r}", where=_where(pod), remedy=f"Expected {wanted}")


def _where(pod: Pod) -> str:
    return f"pod {pod.namespace}/{pod.name}"
