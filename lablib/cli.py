"""The command line: `lablib COMMAND`. Exit status 0 done, 1 failed, 2 wrong usage, 130 interrupted.

When a command is named, only its module is imported: `lablib setup` and `lablib doctor` have to work where
little else is installed yet.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import typer
from rich.console import Console
from rich.markup import escape

from lablib import commands
from lablib.errors import LabError

GROUPS = ("cluster", "lab", "grading", "bench")
"""Sub-commands that are groups: lablib/commands/NAME.py has their `app`."""
COMMANDS = ("setup", "doctor", "tour")
"""Single commands: lablib/commands/NAME.py has a function of that name."""


def build(only: str | None = None) -> typer.Typer:
    """The command line as one typer app.

    Args:
        only: the one command that will be called; all of them when it is None or no command.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Build and measure an AI platform. Start with `lablib doctor`, then `lablib lab open 00`.",
    )
    app.callback()(lambda: None)  # typer would make a single command the whole app
    there = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    there = {only} if only in there else there
    for name in sorted(there & set(COMMANDS)):
        app.command(name)(getattr(importlib.import_module(f"lablib.commands.{name}"), name))
    for name in sorted(there & set(GROUPS)):
        app.add_typer(importlib.import_module(f"lablib.commands.{name}").app, name=name)
    return app


def complain(error: LabError) -> None:
    """Print what went wrong, where, and what to try, on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]✗[/] {escape(error.what)}")
    if error.where:
        console.print(f"  where: {error.where}", markup=False)
    if error.remedy:
        console.print(f"  try:   {error.remedy}", markup=False)


def main() -> None:
    """Run one command line; the process ends with its exit status."""
    from lablib.settings import go_quiet

    go_quiet()
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)()
    except LabError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)
