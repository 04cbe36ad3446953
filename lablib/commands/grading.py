"""`lablib grading`: build the labs from their sources. Does I/O."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lablib.errors import GradingError

app = typer.Typer(no_args_is_help=True, help="For instructors and authors: build the labs.")


@app.callback()
def grading() -> None:
    """For instructors and authors: build the labs."""


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


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])
