"""Several steps at once, a line each: a bar or a ticking time, and how long it usually takes. Does I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Final

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

HEARTBEAT_SECONDS: Final = 30.0
"""How often a step speaks where there is no terminal to draw on."""

END_SECONDS: Final = 3.0
"""How long steps may take to end once they are told to; one that waits for a lock never does."""


@dataclass(frozen=True)
class Step:
    """One piece of work. `run` gets a Reporter and returns what to say at the end."""

    title: str
    usually: str
    """How long it takes, in words: "1 to 3 min"."""
    run: Callable[[Reporter], str]


class Reporter:
    """What a running step says about itself."""

    def __init__(self, progress: Progress, task: TaskID, step: Step) -> None:
        self._progress, self._task, self._step = progress, task, step
        self._spoke = time.monotonic()
        self._live = progress.console.is_terminal

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(f"  {line}", markup=False, highlight=False)

    def advance(self, doing: str, share: float) -> None:
        """What is being done, and the share of the step that is done (0 to 1)."""
        self._progress.update(self._task, completed=share, total=1.0, doing=doing)
        if not self._live and time.monotonic() - self._spoke > HEARTBEAT_SECONDS:
            self._spoke = time.monotonic()
            self.say(f"{self._step.title}: {doing}, {share:.0%}")


def run_steps(steps: Sequence[Step], console: Console) -> None:
    """Run all steps at once, each in a thread; an exception of one ends the others and is raised.

    Every process that a step started is ended when this returns early.
    """
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}", style="dim"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        running: list[Future[None]] = []
        try:
            running.extend(_start(step, progress) for step in steps)
            while not _settled(running):
                wait(running, timeout=0.2, return_when=FIRST_EXCEPTION)
            failed = next((each for each in running if each.done() and each.exception()), None)
            if failed:
                failed.result()
        except BaseException:
            _end(running)
            raise


def _start(step: Step, progress: Progress) -> Future[None]:
    """Run a step in a thread that does not outlive the program, even while it waits for a lock."""
    future: Future[None] = Future()

    def work() -> None:
        try:
            _run_one(step, progress)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)
        else:
            future.set_result(None)

    Thread(target=work, name=step.title, daemon=True).start()
    return future


def _end(running: Sequence[Future[None]]) -> None:
    """Kill what the steps started, and what they start after that, until they have ended."""
    until = time.monotonic() + END_SECONDS
    end_children()
    while time.monotonic() < until and not all(each.done() for each in running):
        wait(running, timeout=0.05)
        end_children()


def _settled(running: Sequence[Future[None]]) -> bool:
    """True when all have ended, or one has failed."""
    return all(each.done() for each in running) or any(each.done() and each.exception() for each in running)


def _run_one(step: Step, progress: Progress) -> None:
    task = progress.add_task(step.title, total=None, doing=f"usually {step.usually}")
    started = time.monotonic()
    if not progress.console.is_terminal:
        progress.console.print(f"… {step.title} (usually {step.usually})", markup=False, highlight=False)
    result = step.run(Reporter(progress, task, step))
    progress.update(task, completed=1.0, total=1.0, doing=result)
    if not progress.console.is_terminal:
        seconds = time.monotonic() - started
        progress.console.print(f"✓ {step.title}: {result} ({seconds:.0f} s)", markup=False, highlight=False)


def end_children() -> None:
    """Kill every process that this one started."""
    for child in psutil.Process().children(recursive=True):
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
