"""The learner's own copies of the labs, in work/. Does I/O.

work/ is not in version control. A copy is taken once and never overwritten: `reset` puts it aside first.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from lablib.errors import GradingError
from lablib.grading.cases import exercises
from lablib.grading.progress import FILE, Progress, Store
from lablib.settings import REPOSITORY


@dataclass(frozen=True)
class Lab:
    """One lab, as it is released and as this learner has it."""

    released: Path
    """The notebook in labs/."""
    copy: Path
    """The learner's notebook in work/; it may not be there yet."""

    @property
    def name(self) -> str:
        """Such as "01-gpus"."""
        return self.released.stem

    @property
    def number(self) -> str:
        """Such as "01"."""
        return self.name[:2]

    @property
    def title(self) -> str:
        """The notebook's first heading, without its number."""
        cells = json.loads(self.released.read_text())["cells"]
        return "".join(cells[0]["source"]).splitlines()[0].partition("·")[2].strip()

    @property
    def exercises(self) -> int:
        """How many there are."""
        return len(exercises(self.name))

    @property
    def begun(self) -> bool:
        """True when the learner has a copy."""
        return self.copy.exists()

    @property
    def progress(self) -> Progress:
        """What the learner has done of it."""
        return Store(self.copy.parent).read()

    @property
    def points(self) -> Mapping[str, int]:
        """What each exercise is worth."""
        cells = json.loads(self.released.read_text())["cells"]
        graded = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
        return {
            each["grade_id"].removeprefix("grade-").replace("-", "."): each["points"]
            for each in graded
            if each["grade_id"].startswith("grade-")
        }


def labs(root: Path = REPOSITORY) -> tuple[Lab, ...]:
    """All labs, in order."""
    released = sorted((root / "labs").glob("[0-9][0-9]-*/*.ipynb"))
    return tuple(Lab(path, root / "work" / path.stem / path.name) for path in released)


def find(number: str, root: Path = REPOSITORY) -> Lab:
    """The lab with this number or name.

    Raises:
        GradingError: there is none.
    """
    known = labs(root)
    found = [lab for lab in known if number in (lab.number, lab.name) or number == lab.number.lstrip("0")]
    if not found:
        raise GradingError(
            f"There is no lab {number}", remedy=f"There are {', '.join(lab.number for lab in known)}"
        )
    return found[0]


def take(lab: Lab) -> str:
    """Give the learner a copy where there is none, and the pictures; a note when the lab has changed."""
    lab.copy.parent.mkdir(parents=True, exist_ok=True)
    original = lab.copy.parent / ".released.ipynb"
    for picture in lab.released.parent.glob("*.svg"):
        shutil.copyfile(picture, lab.copy.parent / picture.name)
    if not lab.begun:
        shutil.copyfile(lab.released, lab.copy)
        shutil.copyfile(lab.released, original)
    elif original.exists() and original.read_bytes() != lab.released.read_bytes():
        return (
            f"Lab {lab.number} has changed since you began it. Yours stays as it is; "
            f"for the new one: lablib lab reset {lab.number}"
        )
    return ""


def reset(lab: Lab) -> Path | None:
    """A fresh copy; the old one and its progress are kept in a folder of their own, which is returned."""
    if not lab.begun:
        take(lab)
        return None
    numbers = (lab.copy.parent / f"before-reset-{number}" for number in count(1))
    kept = next(folder for folder in numbers if not folder.exists())
    kept.mkdir()
    for name in (lab.copy.name, FILE):
        if (lab.copy.parent / name).exists():
            (lab.copy.parent / name).rename(kept / name)
    take(lab)
    return kept
