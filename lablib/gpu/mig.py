"""MIG: what a GPU can be cut into, and where each piece may start. Does no I/O.

A GPU has eight memory slices in a row and seven compute slices. A profile takes some of each and may start at
certain memory slices only: that is silicon, not software. Sources: `nvidia-smi mig -lgip` and `-lgipp`
transcripts and NVIDIA's MIG user guide. The H200's starts are inferred from the H100's: the same silicon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MEMORY_SLICES: Final = 8
COMPUTE_SLICES: Final = 7


@dataclass(frozen=True)
class Profile:
    """One way to cut a piece from a GPU."""

    name: str
    """As `nvidia-smi mig -lgip` says it: "3g.40gb"."""
    number: int
    """NVML's profile id, 0 to 20."""
    compute: int
    """Compute slices it takes."""
    size: int
    """Memory slices it takes."""
    starts: tuple[int, ...]
    """Memory slices at which it may start."""
    most: int
    """How many fit on one GPU."""
    sms: int
    """Streaming multiprocessors."""
    media: bool = False
    """True for the one piece that has the GPU's media engines."""


@dataclass(frozen=True, order=True)
class Placement:
    """A piece of a GPU: memory slices start, start + 1, ... start + size - 1."""

    start: int
    size: int

    @property
    def slices(self) -> frozenset[int]:
        """The memory slices it takes."""
        return frozenset(range(self.start, self.start + self.size))


def _profiles(
    gib: tuple[int, int, int, int, int], sms: tuple[int, int, int, int, int, int]
) -> tuple[Profile, ...]:
    one, double, half, _, whole = gib
    return (
        Profile(f"1g.{one}gb", 19, 1, 1, tuple(range(7)), 7, sms[0]),
        Profile(f"1g.{one}gb+me", 20, 1, 1, tuple(range(7)), 1, sms[0], media=True),
        Profile(f"1g.{double}gb", 15, 1, 2, (0, 2, 4, 6), 4, sms[1]),
        Profile(f"2g.{double}gb", 14, 2, 2, (0, 2, 4), 3, sms[2]),
        Profile(f"3g.{half}gb", 9, 3, 4, (0, 4), 2, sms[3]),
        Profile(f"4g.{half}gb", 5, 4, 4, (0,), 1, sms[4]),
        Profile(f"7g.{whole}gb", 0, 7, 8, (0,), 1, sms[5]),
    )


_AMPERE, _HOPPER = (14, 14, 28, 42, 56, 98), (16, 26, 32, 60, 64, 132)

PROFILES: Final[Mapping[str, tuple[Profile, ...]]] = MappingProxyType(
    {
        "A100-40": _profiles((5, 10, 20, 20, 40), _AMPERE),
        "A100-80": _profiles((10, 20, 40, 40, 80), _AMPERE),
        "H100": _profiles((10, 20, 40, 40, 80), _HOPPER),
        "H200": _profiles((18, 35, 71, 71, 141), _HOPPER),
    }
)
"""By short name of the GPU model."""


def legal_starts(profile: Profile, occupied: frozenset[int]) -> tuple[int, ...]:
    """Starts, ascending, at which an instance of the profile fits beside the occupied memory slices."""
    return tuple(start for start in profile.starts if not Placement(start, profile.size).slices & occupied)


def occupied_slices(placements: Iterable[Placement]) -> frozenset[int]:
    """The memory slices that these pieces take."""
    return frozenset[int]().union(*(placement.slices for placement in placements))


Layout = frozenset[tuple[str, Placement]]
"""Profiles' names and where they are."""


def maximal_layouts(profiles: Iterable[Profile]) -> frozenset[Layout]:
    """Every layout to which none of the profiles can be added."""
    kinds = tuple(profiles)
    return frozenset(layout for layout in _layouts(kinds, 0) if not any(_additions(kinds, layout)))


def _layouts(profiles: tuple[Profile, ...], first: int) -> Iterator[Layout]:
    """Every layout of pieces that start at memory slice `first` or later; each once."""
    if first >= MEMORY_SLICES:
        yield frozenset()
        return
    yield from _layouts(profiles, first + 1)
    for profile in profiles:
        if first in profile.starts:
            piece = (profile.name, Placement(first, profile.size))
            for rest in _layouts(profiles, first + profile.size):
                if sum(name == profile.name for name, _ in rest) < profile.most:
                    yield rest | {piece}


def _additions(profiles: tuple[Profile, ...], layout: Layout) -> Iterator[tuple[str, Placement]]:
    """Every piece that could be added."""
    occupied = occupied_slices(placement for _, placement in layout)
    for profile in profiles:
        if sum(name == profile.name for name, _ in layout) < profile.most:
            for start in legal_starts(profile, occupied):
                yield profile.name, Placement(start, profile.size)
