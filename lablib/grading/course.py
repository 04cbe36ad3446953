"""A course folder: what nbgrader's formgrader works on, and what grading keeps beside it. Does I/O.

COURSE/nbgrader_config.py          for formgrader: start `jupyter lab` in this folder
COURSE/gradebook.db                nbgrader's database
COURSE/source/LAB/LAB.ipynb        the instructor's notebook, with answers
COURSE/release/LAB/                what learners get
COURSE/submitted/STUDENT/LAB/      what was handed in, without its outputs
COURSE/autograded/STUDENT/LAB/     the same, with marks
COURSE/feedback/STUDENT/LAB/       for learners, HTML
COURSE/marks/LAB/STUDENT.json      the marks, and what they depend on
COURSE/secret                      draws the hidden cases; never hand it out
"""

from __future__ import annotations

import copy
import os
import secrets
import shutil
import sys
import textwrap
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nbformat
from nbformat import NotebookNode

from lablib.errors import GradingError
from lablib.grading.assignment import Assignment, is_answer, is_graded, is_locked, nbgrader_of
from lablib.grading.build import LABS, pictures, text
from lablib.grading.execution import Execution
from lablib.grading.marks import Marks

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

CONFIG: Final = '''"""For formgrader, when JupyterLab starts in this folder. Written by `lablib grading`."""

from pathlib import Path

c = get_config()  # noqa: F821 - nbgrader's own
c.CourseDirectory.course_id = "platform-lab"
c.CourseDirectory.root = str(Path(__file__).parent)
c.CourseDirectory.db_url = "sqlite:///" + str(Path(__file__).parent / "gradebook.db")
'''
WIDTH: Final = 96
"""Of a line of output, in characters."""
MISSING: Final = "# This cell was not handed in."


@dataclass(frozen=True)
class Course:
    """A course folder."""

    folder: Path

    @property
    def secret(self) -> bytes:
        """Made at the first use; readable by its owner alone."""
        path = self.folder / "secret"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(32).encode())
        found = path.read_bytes()
        if not found:
            raise GradingError(
                "The course's secret is empty", where=str(path), remedy="Remove it, and grade again"
            )
        return found

    @property
    def database(self) -> str:
        """Address of nbgrader's database."""
        return f"sqlite:///{self.folder.resolve() / 'gradebook.db'}"

    def marks(self, lab: str, student: str) -> Path:
        """Where marks are kept."""
        return self.folder / "marks" / lab / f"{student}.json"

    def prepare(self, assignments: Iterable[Assignment]) -> None:
        """Write what formgrader needs: its settings, the sources, and the labs in the database."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "nbgrader_config.py").write_text(CONFIG)
        with self.gradebook() as gradebook:
            for assignment in assignments:
                place(self.folder / "source", assignment, assignment.solution)
                release(self.folder / "release", assignment)
                register(gradebook, assignment)

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """The database. nbgrader starts alembic, which stands beside this Python, by its name."""
        from nbgrader.api import Gradebook

        beside = str(Path(sys.executable).parent)
        if beside not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = beside + os.pathsep + os.environ.get("PATH", "")
        with Gradebook(self.database) as gradebook:
            yield gradebook

    def keep(
        self, assignment: Assignment, notebook: NotebookNode, execution: Execution, marks: Marks
    ) -> None:
        """Write a submission with its marks: the notebooks, and the database."""
        for step, content in (
            ("submitted", notebook),
            ("autograded", with_marks(assignment, notebook, execution, marks)),
        ):
            path = place(self.folder / step / marks.student, assignment, content)
            (path.parent / "timestamp.txt").write_text(f"{marks.modified:%Y-%m-%d %H:%M:%S} UTC")
        with self.gradebook() as gradebook:
            record(gradebook, marks)


def place(folder: Path, assignment: Assignment, notebook: NotebookNode) -> Path:
    """Write a lab's notebook and its pictures into a folder of the lab's name."""
    target = folder / assignment.name
    target.mkdir(parents=True, exist_ok=True)
    for picture in pictures(assignment.source):
        shutil.copyfile(picture, target / picture.name)
    path = target / f"{assignment.name}.ipynb"
    path.write_text(text(notebook))
    return path


def release(folder: Path, assignment: Assignment) -> Path:
    """Write what learners get."""
    return place(folder, assignment, assignment.released)


def release_zip(path: Path, assignments: Iterable[Assignment]) -> None:
    """Write what learners get as one zip, the same at every run."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for assignment in assignments:
            folder = LABS / assignment.name
            content = {picture.name: picture.read_bytes() for picture in pictures(assignment.source)}
            content[f"{assignment.name}.ipynb"] = text(assignment.released).encode()
            for name, data in sorted(content.items()):
                archive.writestr(zipfile.ZipInfo(f"{folder.name}/{name}"), data)


def register(gradebook: Gradebook, assignment: Assignment) -> None:
    """Tell nbgrader's database of a lab: its cells and their points."""
    lab = assignment.name
    gradebook.update_or_create_assignment(lab)
    gradebook.update_or_create_notebook(lab, lab)
    for cell in assignment.released.cells:
        about = nbgrader_of(cell)
        if not about:
            continue
        name = str(about["grade_id"])
        if is_graded(cell):
            gradebook.update_or_create_grade_cell(
                name, lab, lab, max_score=about["points"], cell_type=cell.cell_type
            )
        if is_answer(cell):
            gradebook.update_or_create_solution_cell(name, lab, lab)
        gradebook.update_or_create_source_cell(
            name, lab, lab, cell_type=cell.cell_type, source=cell.source, locked=is_locked(cell)
        )


def record(gradebook: Gradebook, marks: Marks) -> None:
    """Write marks into nbgrader's database; what a person gave stays."""
    lab, student = marks.lab, marks.student
    gradebook.update_or_create_student(student)
    with gradebook.db.no_autoflush:
        gradebook.update_or_create_submission(lab, student, timestamp=marks.modified.replace(tzinfo=None))
    for number, mark in marks.exercises.items():
        grade = gradebook.find_grade(f"grade-{number.replace('.', '-')}", lab, lab, student)
        grade.auto_score = mark.points
        grade.needs_manual_grade = False
        name = f"exercise-{number.replace('.', '-')}"
        gradebook.find_comment(name, lab, lab, student).auto_comment = mark.sentence
    for name, written in marks.paragraphs.items():
        grade = gradebook.find_grade(name, lab, lab, student)
        grade.auto_score = None if written else 0.0
        grade.needs_manual_grade = bool(written) and grade.manual_score is None
        gradebook.find_comment(name, lab, lab, student).auto_comment = None if written else "No response."
    gradebook.db.commit()


def with_marks(
    assignment: Assignment, notebook: NotebookNode, execution: Execution, marks: Marks
) -> NotebookNode:
    """A submission as formgrader and the feedback show it: what ran, what it printed, what it earned.

    Cells that give points are as they were released, wherever a learner moved, changed or removed them.
    """
    result = copy.deepcopy(notebook)
    expected = {
        str(nbgrader_of(cell)["grade_id"]): cell for cell in assignment.released.cells if nbgrader_of(cell)
    }
    there: set[str] = set()
    for index, cell in enumerate(result.cells):
        name = str(nbgrader_of(cell).get("grade_id", ""))
        cell.metadata.pop("nbgrader", None)
        if name in expected and name not in there and expected[name].cell_type == cell.cell_type:
            there.add(name)
            cell.metadata["nbgrader"] = expected[name].metadata["nbgrader"]
        if cell.cell_type == "code":
            cell.outputs = outputs(execution, f"cell {index}")
            cell.execution_count = None
    for name, cell in expected.items():
        if name not in there:
            added = copy.deepcopy(cell)
            added.source = added.source if is_locked(cell) else MISSING if cell.cell_type == "code" else ""
            result.cells.append(added)
    for index, cell in enumerate(result.cells):
        cell.id = f"c{index:03d}"
        if is_locked(cell):
            name = str(nbgrader_of(cell)["grade_id"])
            cell.source = expected[name].source
            number = ".".join(name.split("-")[1:])
            cell.outputs = [printed(textwrap.fill(marks.exercises[number].sentence, WIDTH))]
    result.metadata = assignment.released.metadata
    return result


def outputs(execution: Execution, name: str) -> list[NotebookNode]:
    """What a cell printed, and what became of it."""
    found = [printed(execution.printed[name])] if execution.printed.get(name) else []
    if name in execution.lost:
        found.append(printed(f"This cell was left out: {execution.lost[name]}."))
    return found


def printed(content: str) -> NotebookNode:
    """Text as a cell's output."""
    make: Any = nbformat.v4.new_output
    output: NotebookNode = make("stream", name="stdout", text=content)
    return output
