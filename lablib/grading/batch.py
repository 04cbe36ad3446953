"""Grade many submissions, several at once, going on where an earlier run stopped. Starts processes.

A thread waits for each sandbox; what is right is decided, and written down, by the caller's thread alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Final

import psutil

from lablib.grading import marks as kept
from lablib.grading.assignment import Assignment, job
from lablib.grading.course import Course
from lablib.grading.execution import Execution, execute
from lablib.grading.marks import Marks
from lablib.grading.sandbox import Limits
from lablib.grading.submissions import Submission

MOST_OF_A_TREE: Final = 1.5
"""How much of its memory limit a whole process tree may take (sandbox.py)."""

DEFAULT: Final = Limits()


@dataclass(frozen=True)
class Graded:
    """One submission is done."""

    marks: Marks
    again: bool = False
    """True when an earlier run had graded the same already."""


def workers(limits: Limits = DEFAULT) -> int:
    """How many submissions run at once: one for each core, as long as memory holds for all at their limit."""
    most = MOST_OF_A_TREE * limits.memory_bytes
    return max(1, min(len(os.sched_getaffinity(0)), int(psutil.virtual_memory().available // most)))


def grade(
    course: Course,
    assignments: Mapping[str, Assignment],
    submissions: Sequence[Submission],
    at_once: int,
    limits: Limits = DEFAULT,
) -> Iterator[Graded]:
    """Grade submissions, in the order in which they end.

    An interruption ends those that run and keeps what is done. Grading again does what is left.
    """
    secret = course.secret
    waiting: list[Submission] = []
    for submission in submissions:
        marks = kept.read(course.marks(submission.lab, submission.student))
        if marks and marks.digest == kept.digest(assignments[submission.lab], submission, secret):
            yield Graded(marks, again=True)
        else:
            waiting.append(submission)
    stop = Event()
    with ThreadPoolExecutor(at_once) as pool:
        running: dict[Future[Execution], Submission] = {}
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    submission = waiting.pop(0)
                    lab = assignments[submission.lab]
                    task = job(lab, submission.notebook, secret, limits.cell_seconds)
                    running[pool.submit(execute, task, limits, stop=stop)] = submission
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    submission = running.pop(future)
                    assignment = assignments[submission.lab]
                    marks = kept.mark(assignment, submission, future.result(), secret)
                    course.keep(assignment, submission.notebook, future.result(), marks)
                    kept.write(course.marks(marks.lab, marks.student), marks)
                    yield Graded(marks)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
