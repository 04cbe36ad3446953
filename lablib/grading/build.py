"""Build the labs, labs/NN-topic/NN-topic.ipynb, from solutions/NN-topic/NN-topic.py. Does I/O.

A source is a plain Python file in jupytext's percent format. A cell's header says what the cell is:

    # %% [markdown]                        text
    # %%                                   code that everybody gets
    # %% exercise="1.2"                    an exercise: one function, whose body the learner writes
    # %% check="1.2" points=3              its check; grading adds hidden cases and gives the points
    # %% [markdown] reflect="1.5" points=2 a paragraph that an instructor marks; here: a good answer

In an exercise the answer stands between `### BEGIN SOLUTION` and `### END SOLUTION`; the learner finds
`raise NotImplementedError("your turn: 1.2")` there. A check's last line is `check.e1_2(function)`.

Two notebooks come of a source. `release` is the learner's: no answers, no outputs. `solution` is the
instructor's: answers in place, and after each check a locked cell that nbgrader marks. Both are the same at
every build, to the byte.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jupytext
import nbformat
from nbformat import NotebookNode

from lablib.errors import GradingError
from lablib.settings import REPOSITORY

SOURCES: Final = REPOSITORY / "solutions"
LABS: Final = REPOSITORY / "labs"
BEGIN: Final = "### BEGIN SOLUTION"
END: Final = "### END SOLUTION"
KEYS: Final = ("exercise", "check", "reflect")
CALL: Final = re.compile(r"check\.e(?P<number>[0-9_]+)\((?P<answer>\w+)\)")
METADATA: Final = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
EMPTY_ANSWER: Final = "*Your answer here.*"


def sources(folder: Path = SOURCES) -> tuple[Path, ...]:
    """The labs' sources, in order."""
    return tuple(path for path in sorted(folder.glob("[0-9][0-9]-*/*.py")) if path.stem == path.parent.name)


def release(source: Path) -> NotebookNode:
    """The learner's notebook.

    Raises:
        GradingError: a cell breaks the format; with the cell.
    """
    return _notebook(source, answers=False)


def solution(source: Path) -> NotebookNode:
    """The instructor's notebook.

    Raises:
        GradingError: a cell breaks the format; with the cell.
    """
    return _notebook(source, answers=True)


def text(notebook: NotebookNode) -> str:
    """A notebook as its file's text."""
    return str(nbformat.writes(notebook)) + "\n"


def build(sources_folder: Path = SOURCES, labs_folder: Path = LABS) -> tuple[Path, ...]:
    """Write every lab: its notebook, and the pictures beside its source. Returns the notebooks."""
    written = []
    for source in sources(sources_folder):
        folder = labs_folder / source.stem
        folder.mkdir(parents=True, exist_ok=True)
        for picture in pictures(source):
            shutil.copyfile(picture, folder / picture.name)
        path = folder / f"{source.stem}.ipynb"
        path.write_text(text(release(source)))
        written.append(path)
    return tuple(written)


def outdated(sources_folder: Path = SOURCES, labs_folder: Path = LABS) -> tuple[Path, ...]:
    """Files in labs/ that a build would change: other content, missing, or without a source."""
    wanted: dict[Path, bytes] = {}
    for source in sources(sources_folder):
        folder = labs_folder / source.stem
        wanted |= {folder / picture.name: picture.read_bytes() for picture in pictures(source)}
        wanted[folder / f"{source.stem}.ipynb"] = text(release(source)).encode()
    there = {path: path.read_bytes() for path in labs_folder.glob("[0-9]*/*") if path.is_file()}
    ours = {path: data for path, data in there.items() if path in wanted or path.suffix in (".ipynb", ".svg")}
    return tuple(sorted(path for path in wanted.keys() | ours.keys() if wanted.get(path) != ours.get(path)))


def pictures(source: Path) -> tuple[Path, ...]:
    """The pictures of a lab: what lies beside its source."""
    return tuple(sorted(source.parent.glob("*.svg")))


def _notebook(source: Path, *, answers: bool) -> NotebookNode:
    cells = [
        built
        for index, cell in enumerate(_cells(source))
        for built in _expand(cell, f"c{index:03d}", source, answers)
    ]
    notebook: NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(notebook)
    return notebook


def _cells(source: Path) -> list[NotebookNode]:
    try:
        cells: list[NotebookNode] = jupytext.reads(source.read_text(), fmt="py:percent").cells
    except OSError as error:
        raise GradingError(f"The source can't be read: {error.strerror}", where=str(source)) from error
    return cells


def _expand(cell: NotebookNode, name: str, source: Path, answers: bool) -> Iterator[NotebookNode]:
    """A source's cell as the cells of a notebook, with answers or without."""
    kind, number = kind_of(cell)
    if kind == "exercise":
        without = stub(cell.source, number, source)
        yield _cell("code", cell.source if answers else without, _id(kind, number), _nbgrader(kind, number))
    elif kind == "check":
        shown, hidden = _graded(cell, source)
        yield _cell("code", cell.source, _id(kind, number))
        yield _cell(
            "code", f"{shown}\n{hidden}" if answers else shown, f"grade-{_id('', number)}", _grade(cell)
        )
    elif kind == "reflect":
        metadata = _nbgrader(kind, number, _points(cell, source))
        yield _cell("markdown", cell.source if answers else EMPTY_ANSWER, _id(kind, number), metadata)
    else:
        yield _cell(cell.cell_type, cell.source, name)


def kind_of(cell: NotebookNode) -> tuple[str, str]:
    """What a source's cell is, and its exercise's number; two empty texts for a plain one."""
    for kind in KEYS:
        if kind in cell.metadata:
            return kind, str(cell.metadata[kind])
    return "", ""


def stub(code: str, number: str, where: object) -> str:
    """An exercise without its answer: the solution replaced by one raise.

    Raises:
        GradingError: no solution, or one that doesn't end.
    """
    lines, inside, found = [], False, False
    for line in code.split("\n"):
        if line.strip() == BEGIN:
            inside, found = True, True
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f'{indent}raise NotImplementedError("your turn: {number}")')
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    if inside or not found:
        raise GradingError(
            f"Exercise {number} has no {END if inside else BEGIN}", where=str(where), remedy="Add the line"
        )
    return "\n".join(lines)


def _graded(cell: NotebookNode, source: Path) -> tuple[str, str]:
    """The cell that nbgrader marks: what everybody sees of it, and its hidden end."""
    call = CALL.search(cell.source)
    _, number = kind_of(cell)
    if call is None or call["number"].replace("_", ".") != number:
        raise GradingError(
            f"The check of {number} doesn't call check.e{number.replace('.', '_')}(...)", where=str(source)
        )
    points = _points(cell, source)
    shown = f"# For graders: {number}, {points} point{'s' * (points != 1)}. Leave this cell as it is."
    hidden = (
        "### BEGIN HIDDEN TESTS\n"
        "from lablib.grading.notebook import grade\n\n"
        f'grade("{source.stem}", "{number}", {call["answer"]}, {points})\n'
        "### END HIDDEN TESTS"
    )
    return shown, hidden


def _points(cell: NotebookNode, source: Path) -> int:
    kind, number = kind_of(cell)
    points = cell.metadata.get("points")
    if not isinstance(points, int) or points <= 0:
        raise GradingError(f"The {kind} of {number} has no points", where=str(source), remedy="Add points=2")
    return points


def _id(kind: str, number: str) -> str:
    return f"{kind}-{number.replace('.', '-')}".strip("-")


def _grade(cell: NotebookNode) -> dict[str, Any]:
    return _nbgrader("check", kind_of(cell)[1], cell.metadata["points"])


def _nbgrader(kind: str, number: str, points: int | None = None) -> dict[str, Any]:
    """Nbgrader's metadata: an answer, a test, or a paragraph that somebody marks."""
    metadata: dict[str, Any] = {
        "grade": kind != "exercise",
        "grade_id": f"grade-{_id('', number)}" if kind == "check" else _id(kind, number),
        "locked": kind == "check",
        "schema_version": 3,
        "solution": kind != "check",
        "task": False,
    }
    if points is not None:
        metadata["points"] = points
    return {"nbgrader": metadata}


def _cell(cell_type: str, source: str, name: str, metadata: dict[str, Any] | None = None) -> NotebookNode:
    make: Any = nbformat.v4.new_markdown_cell if cell_type == "markdown" else nbformat.v4.new_code_cell
    cell: NotebookNode = make(source=source, metadata=metadata or {})
    cell.id = name
    return cell
