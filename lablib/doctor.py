"""What a machine needs for the labs, judged from what was found on it. Does no I/O.

lablib/probing.py finds out; `lablib doctor` shows the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

GIB: Final = 1024**3
MEMORY_NEEDED_BYTES: Final = 8 * GIB
DISK_NEEDED_BYTES: Final = 12 * GIB
PYTHONS: Final = ((3, 11), (3, 12), (3, 13))
MEMORY_TOLERANCE: Final = 0.9
"""A machine sold with 8 GB shows less: firmware and kernel take a part."""


class State(StrEnum):
    """How a requirement was found."""

    FOUND = "found"
    MISSING = "missing"
    OLD = "old"
    SMALL = "small"
    UNKNOWN = "unknown"
    """It could not be found out."""


@dataclass(frozen=True)
class Requirement:
    """One row of the doctor's report."""

    name: str
    state: State
    detail: str
    remedy: str = ""
    """How to get it; empty where nothing needs doing."""
    required: bool = True
    """False for what the labs can do without."""

    @property
    def well(self) -> bool:
        """True when the labs can go on."""
        return self.state is State.FOUND or not self.required


def all_well(requirements: Iterable[Requirement]) -> bool:
    """True when everything required is there."""
    return all(requirement.well for requirement in requirements)


def disk(free_bytes: int, folder: str, *, installed: bool) -> Requirement:
    """Free disk under a folder; what is installed already does not need its space again."""
    needed = 1 * GIB if installed else DISK_NEEDED_BYTES
    state = State.FOUND if free_bytes >= needed else State.SMALL
    detail = f"{free_bytes / GIB:.1f} GiB free under {folder}, {needed // GIB} needed"
    return Requirement("disk", state, detail, "" if state is State.FOUND else "Free some disk")


def memory(total_bytes: int) -> Requirement:
    """Installed memory. Less is allowed: the labs with an engine get slow or fail, the others work."""
    enough = total_bytes >= MEMORY_NEEDED_BYTES * MEMORY_TOLERANCE
    detail = f"{total_bytes / GIB:.1f} GiB, the whole course is made for {MEMORY_NEEDED_BYTES // GIB}"
    remedy = "" if enough else "Use a larger machine, or run one lab at a time and close other programs"
    return Requirement("memory", State.FOUND if enough else State.SMALL, detail, remedy, required=False)


def python(version: tuple[int, int], executable: str) -> Requirement:
    """The Python that runs the labs."""
    text = f"{version[0]}.{version[1]} ({executable})"
    if version in PYTHONS:
        return Requirement("Python", State.FOUND, text)
    state = State.OLD if version < PYTHONS[0] else State.UNKNOWN
    return Requirement("Python", state, text, "Install Python 3.11, 3.12 or 3.13, then: make setup")


def program(name: str, path: str | None, remedy: str, *, required: bool = False) -> Requirement:
    """A program on PATH, or the lack of it."""
    if path:
        return Requirement(name, State.FOUND, path, required=required)
    return Requirement(name, State.MISSING, "not on PATH", remedy, required=required)


def go(version: tuple[int, int] | None, needed: tuple[int, int], *, binaries: bool) -> Requirement:
    """A Go toolchain, which only the building of the control plane needs.

    Args:
        version: of the one on PATH; None when there is none.
        needed: the least that will do.
        binaries: True when the control plane's binaries are there already.
    """
    why = "not needed: the binaries are there" if binaries else "make setup fetches one"
    if version is None:
        return Requirement("Go", State.MISSING, f"not on PATH; {why}", required=False)
    text = f"{version[0]}.{version[1]}"
    if version < needed:
        detail = f"{text}, {needed[0]}.{needed[1]} needed; {why}"
        return Requirement("Go", State.OLD, detail, required=False)
    return Requirement("Go", State.FOUND, text, required=False)


def limit(name: str, found: int | None, needed: int, remedy: str) -> Requirement:
    """A kernel limit; None is no limit."""
    if found is None:
        return Requirement(name, State.FOUND, "unlimited", required=False)
    state = State.FOUND if found >= needed else State.SMALL
    remedy = "" if state is State.FOUND else remedy
    return Requirement(name, state, f"{found}, {needed} needed", remedy, required=False)


def source(name: str, complaint: str | None, *, needed: bool) -> Requirement:
    """A network source of the set-up, asked through the client that would use it.

    Args:
        name: what comes from it: "Python packages".
        complaint: why it does not answer; None when it does.
        needed: True while set-up still has to fetch something from it.
    """
    if complaint is None:
        return Requirement(name, State.FOUND, "answers", required=needed)
    why = "" if needed else "; not needed any more"
    remedy = "Connect the machine, or configure a mirror, then: make setup" if needed else ""
    return Requirement(name, State.MISSING, complaint + why, remedy, required=needed)


def failed_probe(name: str, error: Exception) -> Requirement:
    """The row of a probe that broke: the report goes on without it."""
    detail = f"can't be found out: {type(error).__name__}: {error}"
    return Requirement(name, State.UNKNOWN, detail, required=False)
