"""The GPU models that the labs know, with the figures their makers publish. Does no I/O.

Memory is what NVML reports, in MiB. Thresholds: the NVIDIA data sheets and `nvidia-smi -q` transcripts for
A100, H100 and H200; NVIDIA's mock-driver profiles for L40S and T4. V100M16, G2 and G3 are names of the openb
trace (Alibaba, 2023), which doesn't say more of the last two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Thresholds:
    """Degrees Celsius at which a GPU protects itself."""

    max_operating: int
    """The driver trims clocks to stay at or below it: software thermal slowdown."""
    slowdown: int
    """The hardware halves the clocks, or worse."""
    shutdown: int
    """The GPU switches itself off."""


@dataclass(frozen=True)
class GpuModel:
    """One model, as feature discovery and NVML describe it."""

    name: str
    """Short name: a key of MODELS."""
    product: str
    """Value of the label nvidia.com/gpu.product."""
    family: str
    compute: tuple[int, int]
    """CUDA compute capability."""
    memory_mib: int
    sms: int
    power_limit_watts: int
    max_sm_clock_mhz: int
    thresholds: Thresholds
    mig: bool = False
    """True if it can be cut into MIG instances."""

    @property
    def nvml_name(self) -> str:
        """What NVML calls it; the label is this with hyphens for spaces."""
        first_only = "-SXM" in self.product
        return self.product.replace("-", " ", 1 if first_only else -1)


_T4 = Thresholds(89, 93, 96)

MODELS: Final[Mapping[str, GpuModel]] = MappingProxyType(
    {
        model.name: model
        for model in (
            GpuModel("A100-40", "NVIDIA-A100-SXM4-40GB", "ampere", (8, 0), 40_960, 108, 400, 1410,
                     Thresholds(85, 89, 92), mig=True),
            GpuModel("A100-80", "NVIDIA-A100-SXM4-80GB", "ampere", (8, 0), 81_920, 108, 400, 1410,
                     Thresholds(85, 89, 92), mig=True),
            GpuModel("H100", "NVIDIA-H100-80GB-HBM3", "hopper", (9, 0), 81_559, 132, 700, 1980,
                     Thresholds(87, 89, 95), mig=True),
            GpuModel("H200", "NVIDIA-H200", "hopper", (9, 0), 143_771, 132, 700, 1980,
                     Thresholds(87, 89, 95), mig=True),
            GpuModel("L40S", "NVIDIA-L40S", "ada-lovelace", (8, 9), 46_068, 142, 350, 2520, _T4),
            GpuModel("T4", "Tesla-T4", "turing", (7, 5), 15_360, 40, 70, 1590, _T4),
            GpuModel("A10", "NVIDIA-A10", "ampere", (8, 6), 23_028, 72, 150, 1695, _T4),
            GpuModel("P100", "Tesla-P100-PCIE-16GB", "pascal", (6, 0), 16_280, 56, 250, 1328, _T4),
            GpuModel("V100M16", "Tesla-V100-SXM2-16GB", "volta", (7, 0), 16_160, 80, 300, 1530, _T4),
            GpuModel("V100M32", "Tesla-V100-SXM2-32GB", "volta", (7, 0), 32_510, 80, 300, 1530, _T4),
            GpuModel("G2", "openb-G2", "unknown", (0, 0), 23_028, 0, 0, 0, _T4),
            GpuModel("G3", "openb-G3", "unknown", (0, 0), 81_920, 0, 0, 0, _T4),
        )
    }
)  # fmt: skip

_BY_PRODUCT: Final = MappingProxyType({model.product: model.name for model in MODELS.values()})


def name_of(product: str) -> str:
    """Short name of the model with this product label; the label itself for a model that is not in MODELS."""
    return _BY_PRODUCT.get(product, product)


def product_of(name: str) -> str:
    """Product label of the model with this short name; the name itself for one that is not in MODELS."""
    return MODELS[name].product if name in MODELS else name
