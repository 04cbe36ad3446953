"""What may not be in a lab. Each function looks at one built notebook and says what is wrong. Does no I/O.

problems(release, solution, there) -> lines, empty when all is well
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from nbformat import NotebookNode

from lablib.grading.build import BEGIN, END

LINK: Final = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]*)\)")
TELLING: Final = 3
"""A line of a solution gives something away when it has this many words."""


def problems(release: NotebookNode, solution: NotebookNode, there: Callable[[str], bool]) -> Iterator[str]:
    """Everything that is wrong with a lab.

    Args:
        release: the learner's notebook.
        solution: the instructor's.
        there: whether a relative link's target exists.
    """
    yield from outputs(release)
    yield from leaks(release, solution)
    yield from signatures(release, solution)
    yield from links(release, there)
    yield from identities(release)


def outputs(release: NotebookNode) -> Iterator[str]:
    """Outputs and counts that should not be committed."""
    for cell in release.cells:
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            yield f"cell {cell.id} has an output"


def answer_lines(solution: NotebookNode) -> Iterator[str]:
    """The telling lines of every answer."""
    for cell in solution.cells:
        inside = False
        for line in cell.source.split("\n"):
            if line.strip() in (BEGIN, END):
                inside = line.strip() == BEGIN
            elif inside and len(re.findall(r"\w+", line)) >= TELLING:
                yield " ".join(line.split())


def leaks(release: NotebookNode, solution: NotebookNode) -> Iterator[str]:
    """Lines of an answer that a learner can read, and hidden tests."""
    text = "\n".join(" ".join(line.split()) for cell in release.cells for line in cell.source.split("\n"))
    for line in answer_lines(solution):
        if line in text:
            yield f"the answer leaks: {line}"
    for mark in (BEGIN, END, "BEGIN HIDDEN TESTS"):
        if mark in text:
            yield f"{mark} is there"


def signatures(release: NotebookNode, solution: NotebookNode) -> Iterator[str]:
    """Exercises whose stub and answer are called differently."""
    answers = {cell.id: cell.source for cell in solution.cells}
    for cell in release.cells:
        if cell.id.startswith("exercise-") and heads(cell.source) != heads(answers[cell.id]):
            yield f"cell {cell.id}: stub and answer differ in signature"


def heads(source: str) -> list[str]:
    """Every function and class of a cell as its definition reads, with its docstring."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(f"{node.name}({ast.unparse(node.args)}) {ast.get_docstring(node)}")
        elif isinstance(node, ast.ClassDef):
            found.append(f"{node.name} {ast.get_docstring(node)}")
    return found


def links(release: NotebookNode, there: Callable[[str], bool]) -> Iterator[str]:
    """Links to nothing, and images that say nothing to who can't see them."""
    for cell in release.cells:
        if cell.cell_type != "markdown":
            continue
        for link in LINK.finditer(cell.source):
            if link["image"] and len(link["text"].split()) < TELLING:
                yield f"image {link['target']} has no text alternative"
            if not link["target"].startswith(("http://", "https://", "#")) and not there(link["target"]):
                yield f"dead link: {link['target']}"
        if "<img" in cell.source:
            yield "an image as HTML: write it as Markdown, with a text alternative"


def identities(release: NotebookNode) -> Iterator[str]:
    """Names that are there twice."""
    for name, count in Counter(cell.id for cell in release.cells).items():
        if count > 1:
            yield f"cell id {name} is there {count} times"
