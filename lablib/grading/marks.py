"""What a submission earned, kept in a file of its own, so that grading can stop and go on. Does I/O."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lablib.grading import cases
from lablib.grading.assignment import Assignment, judged, points_for, sentence, written
from lablib.grading.execution import Execution
from lablib.grading.submissions import Submission


@dataclass(frozen=True)
class Mark:
    """Of one exercise."""

    points: float
    most: float
    sentence: str
    """What the learner reads."""


@dataclass(frozen=True)
class Marks:
    """Of one submission."""

    student: str
    lab: str
    where: str
    """What was read."""
    modified: dt.datetime
    digest: str
    """Of all that the marks depend on: the same digest, the same marks."""
    exercises: Mapping[str, Mark]
    """By number."""
    paragraphs: Mapping[str, str]
    """By grade id: what a person is to mark; empty for what was not written."""
    notes: tuple[str, ...] = ()
    """How it was read, and what had to be left out."""
    seconds: float = 0.0
    lost: Mapping[str, str] = field(default_factory=dict)
    """What ended the process, and how."""

    @property
    def points(self) -> float:
        """In all, but for what a person marks."""
        return sum(mark.points for mark in self.exercises.values())

    @property
    def most(self) -> float:
        """In all, but for what a person marks."""
        return sum(mark.most for mark in self.exercises.values())

    @property
    def to_read(self) -> tuple[str, ...]:
        """Grade ids of the paragraphs that somebody has written."""
        return tuple(name for name, text in self.paragraphs.items() if text)


_MARKS = TypeAdapter(Marks)


def digest(assignment: Assignment, submission: Submission, secret: bytes) -> str:
    """Of all that marks depend on: what was handed in, the lab, its cases, the course's secret."""
    topic = assignment.name.partition("-")[2].replace("-", "_")
    parts = (
        json.dumps([[cell.cell_type, cell.source] for cell in submission.notebook.cells]).encode(),
        assignment.source.read_bytes(),
        (Path(cases.__file__).parent / f"{topic}.py").read_bytes(),
        secret,
    )
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def mark(assignment: Assignment, submission: Submission, execution: Execution, secret: bytes) -> Marks:
    """What a submission earned."""
    verdicts = judged(assignment, secret, execution.outcomes, execution.not_functions)
    exercises = {
        number: Mark(
            points_for(verdict, assignment.points[number]),
            assignment.points[number],
            _sentence(execution, number) or sentence(verdict, assignment.exercises[number]),
        )
        for number, verdict in verdicts.items()
    }
    left_out = tuple(f"{name} was left out: {why}" for name, why in execution.lost.items())
    return Marks(
        submission.student,
        submission.lab,
        submission.found.where,
        submission.found.modified,
        digest(assignment, submission, secret),
        exercises,
        written(assignment, submission.notebook),
        (*submission.notes, *left_out),
        execution.seconds,
        execution.lost,
    )


def _sentence(execution: Execution, number: str) -> str:
    why = execution.lost.get(f"answer {number}")
    return f"While it was called, {why}." if why else ""


def write(path: Path, marks: Marks) -> None:
    """Keep marks, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(asdict(marks), file, default=str, indent=1)
    Path(file.name).replace(path)


def read(path: Path) -> Marks | None:
    """Marks that were kept; None when there are none, or a damaged file."""
    try:
        return _MARKS.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
