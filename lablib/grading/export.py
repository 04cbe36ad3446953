"""Marks as CSV: plain, or in the columns that Canvas and Moodle import. Reads nbgrader's database, writes.

Marks that a person gave in formgrader are in it. Who has paragraphs still to be read has `complete` no.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lablib.grading.course import Course


@dataclass(frozen=True)
class Line:
    """One learner's result in one lab."""

    student: str
    lab: str
    score: float
    most: float
    complete: bool
    """False while a person has something to mark."""
    handed_in: str


def lines(course: Course) -> tuple[Line, ...]:
    """All results, by lab and learner."""
    with course.gradebook() as gradebook:
        found = [
            Line(
                submission.student.id,
                assignment.name,
                submission.score,
                assignment.max_score,
                not submission.needs_manual_grade,
                f"{submission.timestamp:%Y-%m-%d %H:%M:%S}" if submission.timestamp else "",
            )
            for assignment in gradebook.assignments
            for submission in gradebook.assignment_submissions(assignment.name)
        ]
    return tuple(sorted(found, key=lambda line: (line.lab, line.student)))


def plain(results: Sequence[Line]) -> Iterable[Mapping[str, object]]:
    """One row a result."""
    return [
        {
            "student_id": line.student,
            "assignment": line.lab,
            "score": line.score,
            "max_score": line.most,
            "complete": "yes" if line.complete else "no",
            "timestamp": line.handed_in,
        }
        for line in results
    ]


def canvas(results: Sequence[Line]) -> Iterable[Mapping[str, object]]:
    """One row a learner, one column a lab, after Canvas' own five columns and its row of maximum points."""
    most = {line.lab: line.most for line in results}
    own = ("ID", "SIS User ID", "SIS Login ID", "Section")
    rows: dict[str, dict[str, object]] = {
        "": {"Student": "    Points Possible", **dict.fromkeys(own, ""), **most}
    }
    for line in results:
        row = rows.setdefault(
            line.student, {"Student": line.student, **dict.fromkeys(own, ""), **dict.fromkeys(most, "")}
        )
        row["SIS Login ID"] = line.student
        row[line.lab] = line.score
    return rows.values() if results else ()


def moodle(results: Sequence[Line]) -> Iterable[Mapping[str, object]]:
    """Moodle's grading worksheet, one row a result."""
    return [
        {
            "Identifier": "",
            "Full name": line.student,
            "Email address": "",
            "Status": "Submitted for grading" if line.complete else "Submitted, not fully marked",
            "Grade": line.score,
            "Maximum Grade": line.most,
            "Grade can be changed": "Yes",
            "Last modified (submission)": line.handed_in,
            "Last modified (grade)": "",
            "Feedback comments": line.lab,
        }
        for line in results
    ]


LAYOUTS: Final[Mapping[str, Callable[[Sequence[Line]], Iterable[Mapping[str, object]]]]] = {
    "csv": plain,
    "canvas": canvas,
    "moodle": moodle,
}


def write(path: Path, results: Sequence[Line], layout: str) -> None:
    """Write results; `layout` is a key of LAYOUTS."""
    rows = list(LAYOUTS[layout](results))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["student_id"])
        writer.writeheader()
        writer.writerows(rows)
