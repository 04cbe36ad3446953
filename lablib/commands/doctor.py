"""`lablib doctor`: what this machine has, what it lacks, and how to get it. Does I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lablib.doctor import Requirement, State, all_well


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Show each thing the labs need: found, or missing and how to get it. Status 1 when one is missing.

    Example: lablib doctor --json
    """
    from lablib.probing import examine

    rows = examine()
    if as_json:
        typer.echo(json.dumps([asdict(row) | {"well": row.well} for row in rows], indent=1))
    else:
        show(Console(), rows)
    if not all_well(rows):
        raise typer.Exit(1)


def show(console: Console, rows: Sequence[Requirement]) -> None:
    """Print the report as a table, and one line that sums it up."""
    table = Table("", "what", "state", box=None, pad_edge=False)
    table.add_column("detail", overflow="fold")
    table.add_column("how to get it", overflow="fold")
    for row in rows:
        table.add_row(_mark(row), row.name, row.state.value, Text(row.detail), Text(row.remedy))
    console.print(table)
    lacking = [row.name for row in rows if not row.well]
    if lacking:
        console.print(f"Needed and not there: {', '.join(lacking)}", style="bold red", markup=False)
    else:
        console.print("Everything that the labs need is there.", style="green")


def _mark(row: Requirement) -> str:
    if row.state is State.FOUND:
        return "[green]✓[/]"
    return "[yellow]·[/]" if row.well else "[red]✗[/]"
