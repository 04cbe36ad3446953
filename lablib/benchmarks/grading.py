"""`lablib bench grading`: twenty submissions of lab 01, marked by us and by stock nbgrader. Starts processes.

Stock nbgrader runs a whole notebook in a kernel, one after the other. So that it need not start a cluster for
each, the notebooks that both get have the lab's own measuring cells cut down to their definitions: what is
compared is the marking. Right marks are known beforehand. A submission that stock can't end by itself is
ended after a while.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import nbformat
import psutil
from nbformat import NotebookNode

from lablib.benchmarks.rows import Row
from lablib.grading import batch
from lablib.grading.assignment import Assignment, assignments, is_locked, normal
from lablib.grading.attacks import ENDLESS, YES
from lablib.grading.build import text
from lablib.grading.course import CONFIG, Course
from lablib.grading.inside import definitions
from lablib.grading.sandbox import Limits, descendants, resident_bytes
from lablib.grading.submissions import collect

LAB: Final = "01-gpus"
CORES: Final = 2
LIMITS: Final = Limits(cell_seconds=10.0, total_seconds=60.0)
STOCK_SECONDS: Final = 60
"""After which a submission that stock nbgrader does not end is ended."""
GOAL: Final = 0.5


@dataclass(frozen=True)
class Sample:
    """One submission, and the points that are right for it."""

    name: str
    notebook: NotebookNode
    points: float
    honest: bool = True


def samples(assignment: Assignment, quick: bool) -> tuple[Sample, ...]:
    """Good, blank, wrong and hostile ones."""
    full = sum(assignment.points.values())
    good, blank = plain(assignment, assignment.solution), plain(assignment, assignment.released)
    hostile = {
        "equal to all": (replaced(good, "can_run", YES), full - 3),
        "ends itself": (with_cell(good, "import os\nos._exit(0)"), full),
        "never ends": (with_cell(good, ENDLESS), full),
        "prints much": (with_cell(good, "for number in range(2_000_000): print(number)"), full),
    }
    wrong = [
        replaced(good, name, f"def {name}(*arguments):\n    return {value}")
        for name, value in (
            ("can_run", "True"),
            ("fragmentation", "0"),
            ("gpu_demand", "None"),
            ("can_run", "1"),
        )
    ]
    rows = (
        *(Sample(f"good {number}", good, full) for number in range(8)),
        *(Sample(f"blank {number}", blank, 0.0) for number in range(4)),
        *(Sample(f"wrong {number}", notebook, full - 3) for number, notebook in enumerate(wrong)),
        *(Sample(name, notebook, points, honest=False) for name, (notebook, points) in hostile.items()),
    )
    return (rows[0], rows[8], rows[12], rows[16]) if quick else rows


def plain(assignment: Assignment, notebook: NotebookNode) -> NotebookNode:
    """A notebook whose own cells only define; graded cells as learners have them."""
    result = copy.deepcopy(notebook)
    shown = {cell.id: cell.source for cell in assignment.released.cells}
    for cell in result.cells:
        if is_locked(cell):
            cell.source = shown[cell.id]
        elif cell.cell_type == "code" and normal(cell.source) in assignment.own_cells:
            keeps = "open_lab(" in cell.source
            cell.source = cell.source if keeps else definitions(cell.source)
    return result


def with_cell(notebook: NotebookNode, source: str) -> NotebookNode:
    """With one cell more, after the first."""
    result = copy.deepcopy(notebook)
    make: Any = nbformat.v4.new_code_cell
    result.cells.insert(2, make(source=source))
    return result


def replaced(notebook: NotebookNode, function: str, source: str) -> NotebookNode:
    """With another answer."""
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.source.startswith(f"def {function}("):
            cell.source = source
    return result


@dataclass
class Marked:
    """What came out of marking."""

    points: dict[str, float | None] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Of all honest ones together, and of each hostile one."""
    peak_bytes: int = 0


class Peak:
    """The most memory that this process and all below it held during a block."""

    def __init__(self) -> None:
        self.most = 0
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._done.wait(0.1):
            self.most = max(self.most, sum(map(resident_bytes, descendants(me.pid))))


def measure(quick: bool, on_step: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Marks, time and memory of both."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    assignment = assignments()[LAB]
    wanted = samples(assignment, quick)
    with tempfile.TemporaryDirectory(prefix="bench-grading-") as folder:
        on_step("ours")
        ours = by_us(Path(folder, "ours"), assignment, wanted)
        stock = by_stock(Path(folder, "stock"), assignment, wanted, on_step)
    right = {sample.name: sample.points for sample in wanted}
    marks = [sum(each.points.get(name) == points for name, points in right.items()) for each in (ours, stock)]
    honest = [each.seconds["honest"] for each in (ours, stock)]
    total = [sum(each.seconds.values()) for each in (ours, stock)]
    peer, mebibyte = "nbgrader autograde", 1024**2
    holds = honest[0] <= GOAL * honest[1]
    return [
        Row(f"right marks of {len(right)}", "", marks[0], marks[1], peer, "all", marks[0] == len(right)),
        Row("the honest ones", "s", *(honest[0], honest[1]), peer, f"at most {GOAL}", holds),
        Row("all of them", "s", *(total[0], total[1]), peer),
        Row("peak memory", "MiB", ours.peak_bytes / mebibyte, stock.peak_bytes / mebibyte, peer),
    ]


def hand_in(folder: Path, wanted: Sequence[Sample]) -> Path:
    """Write submissions as nbgrader wants them: STUDENT/LAB/LAB.ipynb."""
    for sample in wanted:
        path = folder / sample.name / LAB / f"{LAB}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(text(sample.notebook))
    return folder


def by_us(folder: Path, assignment: Assignment, wanted: Sequence[Sample]) -> Marked:
    """`lablib grading grade`, the honest ones first."""
    course, result = Course(folder / "course"), Marked()
    labs: Mapping[str, Assignment] = {LAB: assignment}
    course.prepare(labs.values())
    found, _ = collect([hand_in(folder / "in", wanted)], {LAB: assignment.functions})
    honest = {sample.name for sample in wanted if sample.honest}
    with Peak() as peak:
        for name, part in (
            ("honest", [each for each in found if each.student in honest]),
            ("hostile", [each for each in found if each.student not in honest]),
        ):
            started = time.perf_counter()
            for graded in batch.grade(course, labs, part, CORES, LIMITS):
                result.points[graded.marks.student] = graded.marks.points
            result.seconds[name] = time.perf_counter() - started
    result.peak_bytes = peak.most
    return result


def by_stock(
    folder: Path, assignment: Assignment, wanted: Sequence[Sample], on_step: Callable[[str], None]
) -> Marked:
    """`nbgrader autograde`: the honest ones in one call, then each hostile one by itself."""
    result = Marked()
    hand_in(folder / "submitted", wanted)
    (folder / "nbgrader_config.py").write_text(
        CONFIG + f"c.ExecutePreprocessor.timeout = {LIMITS.cell_seconds:g}\n"
    )
    source = folder / "source" / LAB
    source.mkdir(parents=True)
    (source / f"{LAB}.ipynb").write_text(text(instructors(assignment)))
    nbgrader(folder, "generate_assignment", LAB)
    hostile = [sample for sample in wanted if not sample.honest]
    aside = folder / "aside"
    aside.mkdir()
    for sample in hostile:
        shutil.move(folder / "submitted" / sample.name, aside / sample.name)
    with Peak() as peak:
        on_step("nbgrader, the honest ones")
        result.seconds["honest"] = nbgrader(folder, "autograde", LAB)
        for sample in hostile:
            on_step(f"nbgrader: {sample.name}")
            shutil.move(aside / sample.name, folder / "submitted" / sample.name)
            result.seconds[sample.name] = nbgrader(folder, "autograde", LAB, "--student", sample.name)
    result.peak_bytes = peak.most
    result.points = stock_points(folder, wanted)
    return result


def instructors(assignment: Assignment) -> NotebookNode:
    """The notebook that stock nbgrader takes its hidden tests from."""
    result = copy.deepcopy(assignment.solution)
    for cell in result.cells:
        if cell.cell_type == "code" and not is_locked(cell) and normal(cell.source) in assignment.own_cells:
            cell.source = cell.source if "open_lab(" in cell.source else definitions(cell.source)
    return result


def nbgrader(folder: Path, *arguments: str) -> float:
    """Run nbgrader in a course folder; returns its seconds, those at which it was ended included."""
    started = time.perf_counter()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    most = STOCK_SECONDS * (20 if "--student" not in arguments else 1)
    with subprocess.Popen(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            process.wait(most)
        except subprocess.TimeoutExpired:
            for each in descendants(process.pid):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.kill()
    return time.perf_counter() - started


def stock_points(folder: Path, wanted: Sequence[Sample]) -> dict[str, float | None]:
    """Points by learner; None where stock gave none, or asks a person for code that it could mark."""
    found: dict[str, float | None] = {}
    with Course(folder).gradebook() as gradebook:
        for submission in gradebook.assignment_submissions(LAB):
            grades = [
                grade
                for notebook in submission.notebooks
                for grade in notebook.grades
                if grade.cell_type == "code"
            ]
            unsure = any(grade.auto_score is None for grade in grades)
            found[submission.student.id] = None if unsure else sum(grade.auto_score for grade in grades)
    return {sample.name: found.get(sample.name) for sample in wanted}
