"""Run a submission's cells and answers in a sandbox, again without what killed it, and gather what came out.

Starts processes. A notebook that ends its process, or that must be ended, loses the cell or the answer that
did it; the rest is run once more in a new sandbox.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, Final

from lablib.grading.attempts import Outcome
from lablib.grading.inside import Job
from lablib.grading.sandbox import Ended, Limits, Printed, Protections, Reply, Sandbox

MOST_RUNS: Final = 6
"""Of one submission."""
GRACE_SECONDS: Final = 2.0
"""What a cell that is told to stop has left to do so."""
START_SECONDS: Final = 60.0
"""How long Python and the lab's modules may take to load on a busy machine."""
CUT: Final = "\n… (cut here)\n"


@dataclass
class Execution:
    """What came of a submission."""

    errors: dict[str, str] = field(default_factory=dict)
    """By cell: its error, or why it was left out."""
    printed: dict[str, str] = field(default_factory=dict)
    """By cell: what it printed, cut."""
    outcomes: dict[str, tuple[Outcome, ...]] = field(default_factory=dict)
    """By exercise."""
    not_functions: dict[str, str] = field(default_factory=dict)
    """By exercise: what stands there instead of a function."""
    lost: dict[str, str] = field(default_factory=dict)
    """What ended the process, and how: "cell 3" or "answer 1.2"."""
    seconds: float = 0.0
    runs: int = 0


def execute(
    job: Job,
    limits: Limits | None = None,
    protections: Protections | None = None,
    stop: Event | None = None,
) -> Execution:
    """Run a job to its end, whatever is in it; or until `stop` is set."""
    limits, protections = limits or Limits(), protections or Protections()
    found, started = Execution(), time.monotonic()
    while found.runs < MOST_RUNS and not (stop and stop.is_set()):
        left = limits.total_seconds - (time.monotonic() - started)
        if left <= 0:
            found.lost.setdefault("job", f"it took more than {limits.total_seconds:g} s in all")
            break
        found.runs += 1
        run = _Run(found, without(job, found.lost), replace(limits, total_seconds=left))
        if run.complete(protections, stop):
            break
    found.seconds = time.monotonic() - started
    return found


def without(job: Job, lost: dict[str, str]) -> Job:
    """A job without what ended the process before."""
    return replace(
        job,
        cells=tuple(cell for cell in job.cells if cell.name not in lost),
        questions=tuple(each for each in job.questions if each.name not in lost),
    )


@dataclass
class _Run:
    """One sandbox's worth."""

    found: Execution
    job: Job
    limits: Limits
    doing: str = "start"
    output: bytes = b""

    def complete(self, protections: Protections, stop: Event | None) -> bool:
        """Run it; False when something ended the process, which is noted."""
        with Sandbox(self.job.text(), self.limits, protections, stop) as sandbox:
            sandbox.deadline = time.monotonic() + START_SECONDS
            for event in sandbox.events():
                match event:
                    case Printed(data):
                        self.output = (self.output + data)[: self.limits.output_bytes + 1]
                    case Reply(line):
                        try:
                            if self._note(json.loads(line), sandbox):
                                return True
                        except (ValueError, TypeError, KeyError, RecursionError):
                            self.found.lost[self.doing] = "it spoke to the grader itself"
                            return False
                    case Ended(why):
                        self._keep_output()
                        self.found.lost[self.doing] = why or "it ended the process"
        return False

    def _note(self, reply: dict[str, Any], sandbox: Sandbox) -> bool:
        """Take a reply down; True when it was the last."""
        if "begin" in reply:
            self.doing, self.output = self._known(reply["begin"]), b""
            sandbox.deadline = time.monotonic() + self.limits.cell_seconds + GRACE_SECONDS
            return False
        if reply["end"] == "job":
            return True
        if self._known(reply["end"]) != self.doing:
            raise ValueError(reply["end"])
        kind, _, number = self.doing.partition(" ")
        if kind == "cell":
            self.found.errors[self.doing] = str(reply["error"])
            self._keep_output()
        elif "what" in reply:
            self.found.not_functions[number] = str(reply["what"])[:400]
        else:
            self.found.outcomes[number] = tuple(map(outcome, reply["outcomes"]))
        sandbox.deadline = time.monotonic() + GRACE_SECONDS
        return False

    def _known(self, name: object) -> str:
        """A name of the job's own.

        Raises:
            ValueError: it is not.
        """
        if name not in {each.name for each in self.job.cells} | {each.name for each in self.job.questions}:
            raise ValueError(name)
        return str(name)

    def _keep_output(self) -> None:
        if self.doing.startswith("cell"):
            most = self.limits.output_bytes
            text = self.output[:most].decode("utf-8", "replace")
            self.found.printed[self.doing] = text + (CUT if len(self.output) > most else "")


def outcome(content: dict[str, Any]) -> Outcome:
    """An outcome of a reply, which may hold anything.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    kinds = tuple(str(kind) for kind in content["kinds"])
    return Outcome(content["value"], str(content["shown"])[:600], kinds)
