"""`lablib grading`: build the labs, hand them out, mark what comes back. Does I/O; starts processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lablib.errors import GradingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lablib.grading.assignment import Assignment
    from lablib.grading.course import Course
    from lablib.grading.marks import Marks
    from lablib.grading.submissions import Submission, Unread

app = typer.Typer(
    no_args_is_help=True, help="For instructors and authors: build, release, grade, feedback, export."
)

CourseFolder = Annotated[Path, typer.Option("--course", help="The course folder; made at the first use.")]
COURSE = Path("course")


@app.callback()
def grading() -> None:
    """For instructors and authors: build the labs, hand them out, mark what comes back."""


@app.command()
def build(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what is out of date.")] = False,
) -> None:
    """Build labs/ from solutions/. With --check: exit 1 when labs/ is out of date.

    Example: lablib grading build --check
    """
    from lablib.grading import build as builder

    console = Console()
    if check:
        old = builder.outdated()
        if old:
            raise GradingError(
                f"labs/ is out of date: {', '.join(_short(path) for path in old)}",
                remedy="Run: lablib grading build",
            )
        console.print("labs/ is up to date")
        return
    for path in builder.build():
        console.print(f"built {_short(path)}")


@app.command()
def release(
    target: Annotated[Path, typer.Argument(help="A folder, or a file that ends in .zip.")],
) -> None:
    """Write what learners get: the notebooks without answers or hidden cases.

    Example: lablib grading release labs.zip
    """
    from lablib.grading.assignment import assignments
    from lablib.grading.course import release as release_one
    from lablib.grading.course import release_zip

    known = assignments()
    if target.suffix == ".zip":
        target.parent.mkdir(parents=True, exist_ok=True)
        release_zip(target, known.values())
    else:
        for assignment in known.values():
            release_one(target, assignment)
    Console(highlight=False).print(f"{len(known)} labs for learners: {target}")


@app.command()
def grade(
    paths: Annotated[list[Path], typer.Argument(help="Notebooks, folders, zips from a learning platform.")],
    course: CourseFolder = COURSE,
    at_once: Annotated[int, typer.Option(help="How many run at once; 0 for as many as fit.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write the marks as JSON.")] = False,
) -> None:
    """Mark what learners handed in; run it again to go on, or after more has come.

    Example: lablib grading grade submissions.zip --course autumn
    """
    from lablib.grading import batch, submissions
    from lablib.grading.assignment import assignments
    from lablib.grading.course import Course
    from lablib.grading.sandbox import unprotected

    known = assignments()
    functions = {name: assignment.functions for name, assignment in known.items()}
    found, unread = submissions.collect(paths, functions)
    console = Console(highlight=False, stderr=as_json)
    _say_how_read(console, found, unread)
    if not found:
        raise GradingError("There is nothing to grade", where=", ".join(map(str, paths)))
    for what in unprotected():
        console.print(f"[yellow]not protected on this machine:[/] {what}")
    folder = Course(course)
    folder.prepare(known.values())
    marks = _grade(folder, known, found, at_once or batch.workers(), console)
    if as_json:
        print(json.dumps([_as_row(each) for each in marks], indent=1))  # noqa: T201 - for a program
    else:
        _summary(console, marks, unread, folder)


@app.command()
def feedback(course: CourseFolder = COURSE) -> None:
    """Write a page for each submission: the notebook with its marks and what was wrong.

    Example: lablib grading feedback --course autumn
    """
    from lablib.grading import feedback as writer

    console, folder = Console(highlight=False), _existing(course)
    labs = sorted({path.parent.name for path in (folder.folder / "marks").glob("*/*.json")})
    with console.status("nbgrader writes the pages"):
        pages = [page for lab in labs for page in writer.write(folder, lab)]
    console.print(f"{len(pages)} pages: {folder.folder / 'feedback'}")


@app.command()
def export(
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("grades.csv"),
    layout: Annotated[str, typer.Option(help="csv, canvas or moodle.")] = "csv",
    course: CourseFolder = COURSE,
) -> None:
    """Write all marks as CSV, those that a person gave in formgrader included.

    Example: lablib grading export --layout moodle --to grades.csv
    """
    from lablib.grading import export as exporter

    if layout not in exporter.LAYOUTS:
        raise typer.BadParameter(f"{layout} is none of {', '.join(exporter.LAYOUTS)}")
    results = exporter.lines(_existing(course))
    exporter.write(to, results, layout)
    waiting = sum(not line.complete for line in results)
    note = f", {waiting} of them with something for a person to mark" if waiting else ""
    Console(highlight=False).print(f"{len(results)} results{note}: {to}")


@app.command()
def exercises() -> None:
    """Show for every exercise what nothing, the library's answer and each known mistake earn, and its hint.

    Example: lablib grading exercises
    """
    from lablib.grading.assignment import assignments
    from lablib.grading.known import answers

    console, wrong = Console(highlight=False), 0
    for assignment in assignments().values():
        table = Table(
            "exercise", "answer", "points", "what the learner reads", title=assignment.name, box=None
        )
        for row in answers(assignment):
            table.add_row(row.number, row.answer, f"{row.points:g} of {row.most:g}", row.sentence)
            wrong += not row.as_it_should_be
        console.print(table)
    if wrong:
        raise GradingError(f"{wrong} answers earn what they should not")


@app.command()
def attacks() -> None:
    """Try to cheat, break out and break down; each attack with its protection, and without it.

    Example: lablib grading attacks
    """
    from lablib.grading import attacks as table_of
    from lablib.grading.assignment import assignments

    console = Console(highlight=False)
    assignment = assignments()["01-gpus"]
    table = Table("attack", "held by", "with it", "without it", box=None, pad_edge=False)
    failed = 0
    with table_of.open_doors(assignment) as doors, console.status("") as status:
        rows = table_of.attacks(doors)
        for number, row in enumerate(rows, 1):
            status.update(f"{number} of {len(rows)}: {row.name}")
            held = table_of.run(assignment, row, table_of.Setting()).held
            bare = table_of.run(assignment, row, row.without).held
            failed += not held or bare
            table.add_row(
                row.name,
                row.protection,
                _word(held, "held", "GOT THROUGH"),
                _word(bare, "SHOWS NOTHING", "gets through"),
            )
    console.print(table)
    if failed:
        raise GradingError(f"{failed} of {len(rows)} rows are not as they should be")


def _word(condition: bool, yes: str, no: str) -> str:
    return yes if condition else no


def _grade(
    course: Course,
    known: Mapping[str, Assignment],
    found: Sequence[Submission],
    at_once: int,
    console: Console,
) -> list[Marks]:
    from lablib.grading import batch

    columns = (
        TextColumn("grading"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", style="dim"),
    )
    done = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(found), name="")
        for graded in batch.grade(course, known, found, at_once):
            done.append(graded.marks)
            progress.update(task, advance=1, name=f"{graded.marks.student}, {graded.marks.lab}")
    return sorted(done, key=lambda marks: (marks.lab, marks.student))


def _say_how_read(console: Console, found: Sequence[Submission], unread: Sequence[Unread]) -> None:
    console.print(f"{len(found)} submissions, {len(unread)} files that are none")
    for submission in found:
        for note in submission.notes:
            console.print(f"  {submission.student}, {submission.lab}: {note}", markup=False)
    for each in unread:
        console.print(f"  {each.where}: {each.why}", markup=False)


def _summary(console: Console, marks: Sequence[Marks], unread: Sequence[Unread], course: Course) -> None:
    table = Table("lab", "student", "points", "exercises", "for a person", box=None, pad_edge=False)
    for each in marks:
        right = "".join("✓" if mark.points else "✗" for mark in each.exercises.values())
        human = [
            *(f"read {name}" for name in each.to_read),
            *(f"{name}: {why}" for name, why in each.lost.items()),
        ]
        table.add_row(each.lab, each.student, f"{each.points:g} of {each.most:g}", right, "; ".join(human))
    console.print(table)
    eyes = sum(bool(each.to_read or each.lost) for each in marks) + len(unread)
    console.print(f"{len(marks)} marked; {eyes} want a person's eye. Course folder: {course.folder}")
    console.print("Next: lablib grading feedback, lablib grading export, or formgrader (docs/instructors.md)")


def _as_row(marks: Marks) -> dict[str, object]:
    return {
        "student": marks.student,
        "lab": marks.lab,
        "points": marks.points,
        "most": marks.most,
        "exercises": {number: mark.points for number, mark in marks.exercises.items()},
        "to_read": list(marks.to_read),
        "notes": list(marks.notes),
    }


def _existing(folder: Path) -> Course:
    from lablib.grading.course import Course

    if not (folder / "gradebook.db").exists():
        raise GradingError("This is no course folder", where=str(folder), remedy="Name it: --course FOLDER")
    return Course(folder)


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])
