"""What a lab gives points for, and a submission as a job for the sandbox. Reads the lab's source."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from lablib.grading.attempts import Outcome
from lablib.grading.build import EMPTY_ANSWER, release, solution, sources
from lablib.grading.cases import exercises
from lablib.grading.checks import (
    Exercise,
    Failed,
    Passed,
    Todo,
    Verdict,
    cases_with_hidden,
    not_callable,
    verdict,
)
from lablib.grading.inside import Cell, Job, Question


@dataclass(frozen=True)
class Assignment:
    """One lab, as it is graded."""

    source: Path

    @property
    def name(self) -> str:
        """Such as "01-gpus"."""
        return self.source.stem

    @cached_property
    def released(self) -> NotebookNode:
        """What learners got."""
        return release(self.source)

    @cached_property
    def solution(self) -> NotebookNode:
        """What the instructor has."""
        return solution(self.source)

    @cached_property
    def exercises(self) -> dict[str, Exercise]:
        """By number."""
        return exercises(self.name)

    @cached_property
    def points(self) -> dict[str, float]:
        """By exercise."""
        return {
            cell_number(cell): cell.metadata.nbgrader.points
            for cell in self.released.cells
            if is_graded(cell) and cell.cell_type == "code"
        }

    @cached_property
    def paragraphs(self) -> dict[str, float]:
        """Points of what a person marks, by the cell's grade id."""
        return {
            cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points
            for cell in self.released.cells
            if is_graded(cell) and cell.cell_type == "markdown"
        }

    @cached_property
    def own_cells(self) -> frozenset[str]:
        """Texts of the cells that are the lab's own."""
        return frozenset(normal(cell.source) for cell in self.released.cells if not is_answer(cell))

    @cached_property
    def functions(self) -> frozenset[str]:
        """Names of the functions that learners write."""
        return frozenset(each.name for each in self.exercises.values())


def assignments() -> dict[str, Assignment]:
    """The labs of this course, by name."""
    return {source.stem: Assignment(source) for source in sources()}


def nbgrader_of(cell: NotebookNode) -> Mapping[str, object]:
    """A cell's nbgrader metadata; empty when it has none, or something else in its place."""
    found = cell.metadata.get("nbgrader", {})
    return found if isinstance(found, Mapping) else {}


def is_graded(cell: NotebookNode) -> bool:
    """True for a cell that points are given for."""
    return bool(nbgrader_of(cell).get("grade"))


def is_answer(cell: NotebookNode) -> bool:
    """True for a cell that a learner fills in."""
    return bool(nbgrader_of(cell).get("solution"))


def cell_number(cell: NotebookNode) -> str:
    """The number of the exercise that a graded cell is of."""
    return ".".join(str(nbgrader_of(cell)["grade_id"]).split("-")[1:])


def normal(source: str) -> str:
    """A cell's text without what editors change."""
    return "\n".join(line.rstrip() for line in source.replace("\r\n", "\n").strip().split("\n"))


def seed(secret: bytes, lab: str, number: str) -> str:
    """Of an exercise's hidden cases: the same for all learners of a course, and for no other course."""
    return hmac.new(secret, f"{lab} {number}".encode(), hashlib.sha256).hexdigest()


def job(assignment: Assignment, notebook: NotebookNode, secret: bytes, cell_seconds: float) -> Job:
    """A submission's cells in order, then its answers.

    The lab's own cells that measure on a cluster are not run again: of them only imports, definitions and
    constants are taken. Locked cells, which give points, are never the learner's.
    """
    cells = [
        Cell(f"cell {index}", cell.source, normal(cell.source) in assignment.own_cells)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and not is_locked(cell)
    ]
    questions = [Question(number, seed(secret, assignment.name, number)) for number in assignment.points]
    return Job(assignment.name, tuple(cells), tuple(questions), cell_seconds)


def is_locked(cell: NotebookNode) -> bool:
    """True for a cell that gives points for code: it is restored, whatever a learner made of it."""
    return cell.cell_type == "code" and is_graded(cell) and not is_answer(cell)


def judged(
    assignment: Assignment,
    secret: bytes,
    outcomes: Mapping[str, Sequence[Outcome]],
    not_functions: Mapping[str, str],
) -> dict[str, Verdict]:
    """The verdict on each exercise, from what came of its answer."""
    found: dict[str, Verdict] = {}
    for number in assignment.points:
        exercise = assignment.exercises[number]
        cases = cases_with_hidden(exercise, seed(secret, assignment.name, number))
        if number in not_functions:
            found[number] = not_callable(exercise, cases, not_functions[number])
        elif not outcomes.get(number):
            found[number] = Todo(number)
        else:
            found[number] = verdict(exercise, cases, outcomes[number])
    return found


def written(assignment: Assignment, notebook: NotebookNode) -> dict[str, str]:
    """A learner's paragraphs, by grade id; empty for those that were left as they came."""
    texts = {
        str(nbgrader_of(cell).get("grade_id")): cell.source.strip()
        for cell in reversed(notebook.cells)
        if cell.cell_type == "markdown" and is_answer(cell)
    }
    return {
        name: "" if texts.get(name, "") == EMPTY_ANSWER else texts.get(name, "")
        for name in assignment.paragraphs
    }


def points_for(judgement: Verdict, most: float) -> float:
    """All points, or none."""
    return most if isinstance(judgement, Passed) else 0.0


def sentence(judgement: Verdict, exercise: Exercise) -> str:
    """What a learner reads about an exercise."""
    match judgement:
        case Passed(cases, _):
            return f"Right on all {cases} inputs, the hidden ones included."
        case Failed(right, cases, message):
            return f"Right on {right} of {cases} inputs. {message}"
        case Todo():
            return f"`{exercise.name}` is not written, or could not be reached."
