"""`lablib lab`: the learner's copies of the labs, and JupyterLab on them. Does I/O; starts JupyterLab."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="The labs: list, open, reset.")

Which = Annotated[str, typer.Argument(help="Number of the lab, such as 01.")]


@app.command(name="list")
def list_labs() -> None:
    """List the labs: what you have done of each, its marks, and the exercise that was hardest for you.

    Example: lablib lab list
    """
    from lablib.grading import copies

    table = Table("lab", "title", "exercises passed", "points", "hardest so far", box=None, pad_edge=False)
    for lab in copies.labs():
        progress, most = lab.progress, sum(lab.points.values())
        points = sum(lab.points.get(number, 0) for number in progress.passed)
        hard = progress.hardest
        tries = f"{hard}: {progress.failed.get(hard, 0)} failed checks, {progress.hints.get(hard, 0)} hints"
        done = f"{len(progress.passed)} of {lab.exercises}" if lab.begun else "not begun"
        table.add_row(lab.number, lab.title, done, f"{points} of {most}", tries if hard else "")
    Console().print(table)


@app.command(name="open")
def open_lab(
    number: Which = "00",
    port: Annotated[int, typer.Option(help="Port of JupyterLab; 0 takes a free one.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open a lab in JupyterLab. Ctrl-C ends it and everything that it started.

    Example: lablib lab open 01
    """
    from lablib.grading import copies
    from lablib.jupyter import serve

    lab = copies.find(number)
    note = copies.take(lab)
    if note:
        Console().print(note, highlight=False)
    serve(lab.copy, port=port, browser=browser)


@app.command()
def reset(number: Which) -> None:
    """Begin a lab anew. What you had is kept beside it.

    Example: lablib lab reset 01
    """
    from lablib.grading import copies

    kept = copies.reset(copies.find(number))
    console = Console(highlight=False)
    console.print(f"Lab {number} is fresh." + (f" What you had: {kept}" if kept else ""))
