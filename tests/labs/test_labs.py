"""The labs themselves: built, clean, and executed from top to bottom, with every answer and with none."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbgrader.utils import determine_grade

from lablib.grading.build import LABS, outdated, release, solution, sources
from lablib.grading.lint import problems

SOURCES = {source.stem: source for source in sources()}
EXECUTION_SECONDS = 600


def run(notebook, folder: Path):
    """Execute every cell, as JupyterLab does; an error ends the test with its cell."""
    NotebookClient(
        notebook,
        timeout=EXECUTION_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return notebook


def marks(notebook):
    """Points by cell that nbgrader gives, and those there are."""
    graded = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    return {
        cell.metadata.nbgrader.grade_id: (determine_grade(cell)[0], cell.metadata.nbgrader.points)
        for cell in graded
        if cell.cell_type == "code"
    }


def warnings_of(notebook):
    """What reached stderr."""
    return [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]


def test_labs_are_up_to_date():
    assert outdated() == ()


@pytest.mark.parametrize("name", SOURCES)
def test_a_lab_is_clean(name):
    released = nbformat.read(LABS / name / f"{name}.ipynb", as_version=4)
    found = problems(released, solution(SOURCES[name]), lambda target: (LABS / name / target).exists())
    assert list(found) == []


@pytest.mark.parametrize("name", SOURCES)
def test_every_answer_in_place_earns_every_point(name, tmp_path):
    done = run(solution(SOURCES[name]), tmp_path)
    given = marks(done)
    assert given
    assert all(points == most for points, most in given.values())
    assert warnings_of(done) == []


@pytest.mark.parametrize("name", SOURCES)
def test_a_learner_who_did_nothing_gets_through_and_earns_nothing(name, tmp_path):
    blank, instructors = release(SOURCES[name]), {cell.id: cell for cell in solution(SOURCES[name]).cells}
    for cell in blank.cells:
        if cell.id.startswith("grade-"):  # as nbgrader does before it marks
            cell.source = instructors[cell.id].source
    done = run(blank, tmp_path)
    given = marks(done)
    assert given
    assert {points for points, _ in given.values()} == {0}
    assert warnings_of(done) == []
    assert {path.name for path in tmp_path.iterdir()} <= {".progress.lock", ".progress.json"}
