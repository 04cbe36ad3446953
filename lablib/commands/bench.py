"""`lablib bench NAME`: measure, beside the named peer, in one run. Does I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from lablib.benchmarks.rows import Row

app = typer.Typer(no_args_is_help=True, help="Measure the lab beside its peers.")

Quick = Annotated[bool, typer.Option("--quick", help="Fewer rounds: under a minute.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the rows to this file as well.")]


@app.callback()
def bench() -> None:
    """Measure the lab beside its peers. Every benchmark prints medians of one run."""


@app.command()
def startup(quick: Quick = False, json_file: JsonFile = None) -> None:
    """Start the embedded cluster, beside a bare launch of the same five binaries.

    Example: lablib bench startup --json startup.json
    """
    from lablib.benchmarks.startup import QUICK_ROUNDS, ROUNDS, measure

    console = Console()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with console.status("") as spinner:
        rows = measure(rounds, lambda number: spinner.update(f"round {number + 1} of {rounds}, 12 s each"))
    report(console, f"startup, median of {rounds}", rows, json_file)


@app.command()
def grading(quick: Quick = False, json_file: JsonFile = None) -> None:
    """Mark twenty submissions of lab 01, beside stock nbgrader, on two cores.

    Example: lablib bench grading --quick
    """
    from lablib.benchmarks.grading import measure

    console = Console()
    with console.status("") as spinner:
        rows = measure(quick, lambda step: spinner.update(f"marking: {step}"))
    report(console, f"grading, {'four' if quick else 'twenty'} submissions, two cores", rows, json_file)


def report(console: Console, title: str, rows: Sequence[Row], json_file: Path | None) -> None:
    """Print the rows as a table, and write them where asked."""
    from lablib.benchmarks.rows import as_json

    table = Table("what", "unit", "ours", "peer", "ratio", "goal", title=title, title_justify="left")
    for row in rows:
        mark = {None: "", True: " [green]✓[/]", False: " [red]✗[/]"}[row.holds]
        table.add_row(
            row.what,
            row.unit,
            f"{row.ours:.2f}",
            "" if row.peer is None else f"{row.peer:.2f} ({row.peer_name})",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            (row.goal or "") + mark,
        )
    console.print(table)
    if json_file:
        json_file.write_text(json.dumps(as_json(rows), indent=1) + "\n")
