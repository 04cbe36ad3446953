"""A course of good, broken and careless notebooks, graded for real: every row of the table, then again."""

import copy
import json
import subprocess

import nbformat
import psutil
import pytest

from lablib.grading import batch, export, feedback
from lablib.grading.assignment import assignments, is_locked, nbgrader_of
from lablib.grading.attacks import ENDLESS
from lablib.grading.build import text
from lablib.grading.course import Course
from lablib.grading.sandbox import Limits
from lablib.grading.submissions import collect

LAB = assignments()["01-gpus"]
ANSWERS = copy.deepcopy(LAB.solution)
for index, cell in enumerate(LAB.released.cells):
    if is_locked(cell):  # as a learner has it
        ANSWERS.cells[index].source = cell.source
FULL = 12.0
LIMITS = Limits(cell_seconds=3.0, total_seconds=60.0)


def code(source: str):
    return nbformat.v4.new_code_cell(source)


def right(*extra: str):
    """Every answer in place, and cells of the learner's own before them."""
    result = copy.deepcopy(ANSWERS)
    result.cells[2:2] = [code(source) for source in extra]
    return result


def answering(number: str, body: str):
    """Every answer in place but one."""
    result = copy.deepcopy(LAB.solution)
    name = LAB.exercises[number].name
    for cell in result.cells:
        if cell.source.startswith(f"def {name}("):
            cell.source = cell.source.split(":\n")[0].split("\n")[0].rstrip(":") + f":\n    {body}"
    return result


def locked(change):
    """The graded cells changed, or left out where `change` gives None."""
    result = copy.deepcopy(LAB.solution)
    for cell in list(result.cells):
        if is_locked(cell) and change(cell) is None:
            result.cells.remove(cell)
    return result


def edited(cell):
    cell.source = "assert True"
    return cell


def duplicated():
    result = copy.deepcopy(LAB.solution)
    for cell in ANSWERS.cells:
        if nbgrader_of(cell):
            result.cells.append(copy.deepcopy(cell))
    for index, cell in enumerate(result.cells):
        cell.id = f"d{index}"
    return result


def in_one_cell():
    """All answers in the first exercise's cell, none in its own."""
    result = copy.deepcopy(LAB.released)
    answers = [cell.source for cell in LAB.solution.cells if cell.source.startswith("def ")]
    cells = [cell for cell in result.cells if cell.source.startswith("def ")]
    cells[0].source = "\n\n".join(answers)
    for cell in cells[1:]:
        cell.source = "# see above"
    return result


def with_outputs():
    result = copy.deepcopy(ANSWERS)
    result.cells[1].outputs = [nbformat.v4.new_output("stream", text="x" * 40_000_000)]
    return result


THREAD = "import threading, time\nthreading.Thread(target=lambda: time.sleep(1e6)).start()"
FDS = "held = []\nwhile True: held.append(open('/dev/null'))"
MAGICS = "%time 1 + 1\n!echo hello\nfiles = !ls\n%matplotlib inline"
SETSID = "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '61.25'])"

CRASH = "import ctypes\nctypes.string_at(0)"
BORROWED = (
    "from lablib.scheduling.fragmentation import fragmentation as ours\n    return ours(state, typical)"
)

ROWS = {
    "good": (right(), FULL),
    "untouched": (LAB.released, 0),
    "graded cells edited": (locked(edited), FULL),
    "graded cells deleted": (locked(lambda cell: None), FULL),
    "every cell twice": (duplicated(), FULL),
    "all answers in one cell": (in_one_cell(), FULL),
    "40 MB of outputs": (with_outputs(), FULL),
    "sys exit": (right("import sys\nsys.exit()"), FULL),
    "exit call": (right("exit()"), FULL),
    "os exit": (right("import os\nos._exit(0)"), FULL),
    "a crash": (right(CRASH), FULL),
    "takes 6 GB": (right("held = bytearray(6 * 1024**3)"), FULL),
    "two million lines": (right("for number in range(2_000_000): print(number)"), FULL),
    "a line of 50 MB": (right("print('x' * 50_000_000)"), FULL),
    "warns": (right("import warnings, sys\nwarnings.warn('careful')\nprint('oh', file=sys.stderr)"), FULL),
    "raises": (right("1 / 0"), FULL),
    "no Python": (right("def ("), FULL),
    "magics and a shell": (right(MAGICS), FULL),
    "a thread without end": (right(THREAD), FULL),
    "leaks descriptors": (right(FDS), FULL),
    "a loop without end": (right("while True: pass"), FULL),
    "a loop that nothing interrupts": (right(ENDLESS), FULL),
    "a process that calls setsid": (right(SETSID), FULL),
    "an answer without end": (answering("2.1", "while True: pass"), FULL - 3),
    "an answer that nothing interrupts": (answering("2.1", ENDLESS.replace("\n", "\n    ")), FULL - 3),
    "an answer that ends the process": (answering("2.1", "import os; os._exit(1)"), FULL - 3),
    "an infinite generator": (answering("2.1", "return iter(int, 1)"), FULL - 3),
    "recursion without end": (answering("2.1", "return can_run(state, demand)"), FULL - 3),
    "NaN": (answering("3.1", "return float('nan')"), FULL - 3),
    "a float for a truth": (answering("2.1", "return 1.0"), FULL - 3),
    "calls the library": (answering("3.1", BORROWED), FULL - 3),
    "Åsa Öberg 李": (right(), FULL),
}  # fmt: skip


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    folder = tmp_path_factory.mktemp("course")
    for name, (notebook, _) in ROWS.items():
        path = folder / "in" / name / "01-gpus.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(text(notebook))
    course = Course(folder / "course")
    course.prepare([LAB])
    return course


def submissions(course: Course):
    found, unread = collect([course.folder.parent / "in"], {LAB.name: LAB.functions})
    assert unread == ()
    return found


@pytest.fixture(scope="module")
def graded(course):
    done = batch.grade(course, {LAB.name: LAB}, submissions(course), 2, LIMITS)
    return {each.marks.student: each.marks for each in done}


@pytest.mark.parametrize("name", ROWS)
def test_each_gets_its_marks(graded, name):
    assert graded[name].points == ROWS[name][1]


def test_nothing_is_left_running(graded):
    assert [
        each for each in psutil.process_iter(["cmdline"]) if "61.25" in (each.info["cmdline"] or [])
    ] == []


def test_what_ended_the_process_is_said(graded):
    assert graded["os exit"].notes == ("cell 2 was left out: it ended the process",)
    assert graded["a loop that nothing interrupts"].notes == ("cell 2 was left out: it took more than 3 s",)
    answer = graded["an answer that ends the process"].exercises["2.1"]
    assert answer.sentence == "While it was called, it ended the process."
    assert "calls the library's own" in graded["calls the library"].exercises["3.1"].sentence


def test_output_is_cut_and_no_answer_is_shown(graded, course):
    for name in ("two million lines", "a line of 50 MB"):
        path = course.folder / "autograded" / name / "01-gpus" / "01-gpus.ipynb"
        assert path.stat().st_size < 300_000
    shown = (course.folder / "autograded" / "untouched" / "01-gpus" / "01-gpus.ipynb").read_text()
    assert "HIDDEN TESTS" not in shown
    assert "BEGIN SOLUTION" not in shown


def test_a_graded_notebook_is_whole_again(graded, course):
    wanted = [nbgrader_of(cell)["grade_id"] for cell in LAB.released.cells if nbgrader_of(cell)]
    for name in ("graded cells deleted", "every cell twice"):
        path = course.folder / "autograded" / name / "01-gpus" / "01-gpus.ipynb"
        there = [nbgrader_of(cell)["grade_id"] for cell in nbformat.read(path, 4).cells if nbgrader_of(cell)]
        assert sorted(there) == sorted(wanted)


def test_again_is_the_same_and_does_nothing_twice(graded, course):
    again = list(batch.grade(course, {LAB.name: LAB}, submissions(course), 2, LIMITS))
    assert all(each.again for each in again)
    assert {each.marks.student: each.marks.exercises for each in again} == {
        name: marks.exercises for name, marks in graded.items()
    }


def test_after_an_interruption_the_rest_is_done(graded, course):
    (course.marks(LAB.name, "good")).unlink()
    (course.marks(LAB.name, "raises")).write_text("{ cut")
    again = list(batch.grade(course, {LAB.name: LAB}, submissions(course), 2, LIMITS))
    assert {each.marks.student for each in again if not each.again} == {"good", "raises"}
    assert {each.marks.points for each in again if not each.again} == {FULL}


def test_an_interruption_ends_what_runs_and_nothing_else(course, graded, tmp_path):
    other = Course(tmp_path / "other")
    other.prepare([LAB])
    running = batch.grade(other, {LAB.name: LAB}, submissions(course), 2, LIMITS)
    others = [each.pid for each in psutil.Process().children() if "python" in each.name()]
    with subprocess.Popen(["sleep", "60"]) as bystander:
        next(running)
        with pytest.raises(KeyboardInterrupt):
            running.throw(KeyboardInterrupt())
        assert [each.pid for each in psutil.Process().children() if "python" in each.name()] == others
        assert bystander.poll() is None
        bystander.kill()


def test_a_persons_marks_stay_and_reach_the_table(graded, course, tmp_path):
    with course.gradebook() as gradebook:
        gradebook.find_grade("reflect-5-2", LAB.name, LAB.name, "good").manual_score = 1.5
        gradebook.find_grade("reflect-5-2", LAB.name, LAB.name, "good").needs_manual_grade = False
        gradebook.db.commit()
    course.marks(LAB.name, "good").unlink()
    list(batch.grade(course, {LAB.name: LAB}, submissions(course), 2, LIMITS))
    lines = {line.student: line for line in export.lines(course)}
    assert (lines["good"].score, lines["good"].most, lines["good"].complete) == (FULL + 1.5, FULL + 2, True)
    assert not lines["warns"].complete
    assert (lines["untouched"].score, lines["untouched"].complete) == (0, True)
    for layout in export.LAYOUTS:
        export.write(tmp_path / layout, export.lines(course), layout)
        assert "Åsa Öberg 李" in (tmp_path / layout).read_text()


def test_feedback_says_what_went_wrong_and_hides_the_cases(graded, course):
    pages = {page.parent.parent.name: page.read_text() for page in feedback.write(course, LAB.name)}
    assert len(pages) == len(ROWS)
    assert "took more than 1 s" in pages["an answer without end"]
    assert "HIDDEN TESTS" not in "".join(pages.values())
    assert json.dumps(course.secret.decode()) not in "".join(pages.values())
