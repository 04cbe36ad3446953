"""A task on a real Ray whose worker is killed, and which still ends. Does I/O; starts and kills processes.

    with LocalRay():
        print(count_through_a_kill(steps=6, kill_after=3))

Ray runs a task again when its worker dies. It doesn't know what the first attempt had done: the steps before
the kill run twice. That is "at least once", and most of fault tolerance is living with it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from lablib.errors import LabError, SetupError, TimedOut
from lablib.noise import hushed

STEP_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 60.0
OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024


@dataclass(frozen=True)
class Attempt:
    """One run of the task."""

    pid: int
    steps: tuple[int, ...]
    """The steps that it did, in order."""
    ended: str
    """"killed" or "done"."""


@dataclass(frozen=True)
class TaskStory:
    """What became of a task whose worker was killed."""

    attempts: tuple[Attempt, ...]
    result: int
    """What the task returned: the sum of its steps."""

    @property
    def repeated(self) -> tuple[int, ...]:
        """Steps that were done more than once."""
        done = [step for attempt in self.attempts for step in attempt.steps]
        return tuple(sorted({step for step in done if done.count(step) > 1}))

    def __str__(self) -> str:
        """A line for each attempt, and the result."""
        lines = [
            f"attempt {number} in process {attempt.pid}: steps {_listed(attempt.steps)}; {attempt.ended}"
            for number, attempt in enumerate(self.attempts, 1)
        ]
        return "\n".join([*lines, f"result {self.result}; done twice: {_listed(self.repeated)}"])


def _listed(steps: tuple[int, ...]) -> str:
    return ", ".join(map(str, steps)) or "none"


class LocalRay:
    """A Ray of this process's own for the length of a `with`; it ends with this process.

    Args:
        workers: how many tasks run at once.
        say: called with a line before what takes seconds.

    Raises:
        SetupError: Ray is not installed.
        LabError: it can't start, or one is running in this process already.
    """

    def __init__(self, workers: int = 2, say: Callable[[str], None] = lambda _: None) -> None:
        self._workers, self._say = workers, say
        self._folder = Path()

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            with hushed():
                import ray  # takes 1 s
        except ImportError as error:
            raise SetupError(f"Ray can't be imported: {error}", remedy="Run: make setup") from error
        if ray.is_initialized():
            raise LabError("Ray runs in this process already", remedy="End it first: ray.shutdown()")
        self._say("Ray starts: 5 to 20 s")
        # A short path: Ray's sockets lie in it, and a socket's path may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        try:
            with hushed():
                ray.init(
                    num_cpus=self._workers,
                    num_gpus=0,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _temp_dir=str(self._folder),
                    _node_ip_address="127.0.0.1",
                )
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        import ray

        with hushed():
            ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)


def count_through_a_kill(steps: int = 6, kill_after: int = 3) -> TaskStory:
    """Add 1 to `steps` in a Ray task, and kill its worker after some of them.

    Args:
        steps: how many there are.
        kill_after: SIGKILL follows this step.

    Raises:
        LabError: there is no such step.
        TimedOut: the task never got that far.
    """
    if not 1 <= kill_after < steps:
        raise LabError(f"There is no step {kill_after} to kill after", remedy=f"Take 1 to {steps - 1}")
    import ray

    with tempfile.TemporaryDirectory() as folder:
        diary = Path(folder) / "diary"
        with contextlib.redirect_stdout(io.StringIO()):  # Ray prints a page about the dead worker
            task: Any = ray.remote(max_retries=3)(_count).remote(str(diary), steps)
            _kill(_process_at(diary, kill_after))
            result = ray.get(task, timeout=PATIENCE_SECONDS)
        return TaskStory(_attempts(diary.read_text(), steps), result)


def _count(diary: str, steps: int) -> int:
    """The task: writes down every step before the next begins."""
    total = 0
    for step in range(1, steps + 1):
        total += step
        with Path(diary).open("a") as file:
            file.write(f"{os.getpid()} {step}\n")
        time.sleep(STEP_SECONDS)
    return total


def _process_at(diary: Path, step: int) -> int:
    """The process that has done this step."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            for line in diary.read_text().splitlines():
                pid, done = line.split()
                if int(done) >= step:
                    return int(pid)
        time.sleep(0.01)
    raise TimedOut(
        f"The task has not done step {step} in {PATIENCE_SECONDS:g} s", remedy="Is the machine busy?"
    )


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _attempts(diary: str, steps: int) -> tuple[Attempt, ...]:
    """Attempts in the order in which they began."""
    done: dict[int, list[int]] = {}
    for line in diary.splitlines():
        pid, step = map(int, line.split())
        done.setdefault(pid, []).append(step)
    return tuple(
        Attempt(pid, tuple(each), "done" if each[-1] == steps else "killed") for pid, each in done.items()
    )
