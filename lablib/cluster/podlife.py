"""The life of a pod that really runs: events in, instructions out. Does no I/O.

    life = PodLife(spec)
    life.begin(now)                     -> [Start("main")]
    life.exited("main", 0, now)         -> [Report(...)]
    life.stop(grace_seconds, now)       -> [Signal(SIGTERM)]
    life.tick(now)                      -> what has become due

The shell (kubelet.py) carries the instructions out; tests compare them.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from lablib.cluster.podspec import PodSpec

MOST_BACKOFF_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Start:
    """Start this container's process."""

    container: str


@dataclass(frozen=True)
class Signal:
    """Send a signal to every process of the pod."""

    number: int


@dataclass(frozen=True)
class Report:
    """Write the pod's status."""


@dataclass(frozen=True)
class Remove:
    """Everything has ended: delete the pod's object."""


Instruction = Start | Signal | Report | Remove


@dataclass(frozen=True)
class Run:
    """One container's present."""

    state: str = "waiting"
    """"waiting", "running" or "terminated"."""
    reason: str = "ContainerCreating"
    message: str = ""
    exit_code: int | None = None
    """As a shell has it: 128 + number for a signal."""
    started_seconds: float = 0.0
    finished_seconds: float = 0.0
    restarts: int = 0
    due_seconds: float | None = None
    """When it is started again; None when it isn't."""


@dataclass
class PodLife:
    """One pod. Its fields are what the status is written from."""

    spec: PodSpec
    runs: dict[str, Run] = field(default_factory=dict)
    started_seconds: float = 0.0
    kill_seconds: float | None = None
    """When SIGKILL follows; None unless it is stopping."""
    stopping: bool = False
    """It is being ended: deleted, or over its deadline."""
    overdue: bool = False
    """It ran longer than activeDeadlineSeconds."""
    deleted: bool = False
    removed: bool = False

    def __post_init__(self) -> None:
        for container in (*self.spec.first, *self.spec.containers):
            self.runs.setdefault(container.name, Run())

    # Events

    def begin(self, now: float) -> list[Instruction]:
        """The pod has been bound to a node."""
        self.started_seconds = now
        return [*self._next(), Report()]

    def started(self, container: str, now: float) -> list[Instruction]:
        """Its process runs."""
        self.runs[container] = replace(
            self.runs[container],
            state="running",
            reason="",
            message="",
            started_seconds=now,
            due_seconds=None,
        )
        return [Report()]

    def failed_to_start(self, container: str, message: str, now: float) -> list[Instruction]:
        """There is no such program, or it may not be run."""
        run = replace(self.runs[container], started_seconds=now)
        self.runs[container] = replace(run, reason="CreateContainerError", message=message)
        return self.exited(container, 127, now, message)

    def exited(self, container: str, code: int, now: float, message: str = "") -> list[Instruction]:
        """Its process has ended; `code` is negative for a signal."""
        exit_code = 128 - code if code < 0 else code
        run = replace(
            self.runs[container],
            state="terminated",
            reason="Completed" if exit_code == 0 else "Error",
            message=message,
            exit_code=exit_code,
            finished_seconds=now,
        )
        self.runs[container] = run
        if self.stopping:
            return self._when_all_ended()
        if self._again(container, exit_code):
            pause = min(self.spec.backoff_seconds * 2**run.restarts, MOST_BACKOFF_SECONDS)
            self.runs[container] = replace(run, due_seconds=now + pause)
            return [Report()]
        return [*self._next(), Report()]

    def stop(self, grace_seconds: float, now: float) -> list[Instruction]:
        """The pod is being deleted; a second call may shorten the grace."""
        self.deleted = True
        return self._end(grace_seconds, now)

    def tick(self, now: float) -> list[Instruction]:
        """Time has passed."""
        if self.stopping:
            if self.kill_seconds is not None and now >= self.kill_seconds and self.running:
                self.kill_seconds = None
                return [Signal(signal.SIGKILL)]
            return []
        if self._deadline is not None and now >= self._deadline:
            self.overdue = True
            return self._end(self.spec.grace_seconds, now)
        due = [
            name for name, run in self.runs.items() if run.due_seconds is not None and now >= run.due_seconds
        ]
        for name in due:
            self.runs[name] = replace(
                self.runs[name], due_seconds=None, restarts=self.runs[name].restarts + 1
            )
        return [Start(name) for name in due]

    # Questions

    @property
    def running(self) -> bool:
        """True while a process of it runs."""
        return any(run.state == "running" for run in self.runs.values())

    @property
    def due_seconds(self) -> float | None:
        """When `tick` has something to do."""
        times = [run.due_seconds for run in self.runs.values()]
        times += [self.kill_seconds if self.running else None, self._deadline]
        return min((each for each in times if each is not None), default=None)

    @property
    def phase(self) -> str:
        """As Kubernetes has it."""
        if self.overdue and not self.running:
            return "Failed"
        main = [self.runs[container.name] for container in self.spec.containers]
        init = [self.runs[container.name] for container in self.spec.first]
        if any(run.exit_code and run.due_seconds is None and run.state == "terminated" for run in init):
            return "Failed"
        if all(run.state == "terminated" and run.due_seconds is None for run in main):
            return "Failed" if any(run.exit_code for run in main) else "Succeeded"
        begun = any(run.state != "waiting" or run.restarts for run in main)
        return "Running" if begun else "Pending"

    # Inside

    @property
    def _deadline(self) -> float | None:
        """When it has run for too long; None when it has no deadline, or is ending anyway."""
        if self.spec.deadline_seconds is None or self.stopping or self.phase in ("Succeeded", "Failed"):
            return None
        return self.started_seconds + self.spec.deadline_seconds

    def _end(self, grace_seconds: float, now: float) -> list[Instruction]:
        due = now + grace_seconds
        if self.running and self.kill_seconds is not None and due >= self.kill_seconds:
            return []
        first = not self.stopping
        self.stopping, self.kill_seconds = True, due
        for name, run in self.runs.items():
            self.runs[name] = replace(run, due_seconds=None)
        if not self.running:
            return self._when_all_ended()
        if grace_seconds <= 0:
            return [Signal(signal.SIGKILL)]
        return [Signal(signal.SIGTERM)] if first else []

    def _again(self, container: str, exit_code: int) -> bool:
        policy = self.spec.restart_policy
        is_first = any(each.name == container for each in self.spec.first)
        if is_first and policy == "Always":
            policy = "OnFailure"
        return policy == "Always" or (policy == "OnFailure" and exit_code != 0)

    def _next(self) -> Iterator[Instruction]:
        """Start the first init container that has not succeeded; the rest once all have."""
        for container in self.spec.first:
            run = self.runs[container.name]
            if run.exit_code != 0:
                if run.state == "waiting":
                    yield Start(container.name)
                return
        for container in self.spec.containers:
            if self.runs[container.name].state == "waiting":
                yield Start(container.name)

    def _when_all_ended(self) -> list[Instruction]:
        if self.running or self.removed:
            return []
        if not self.deleted:
            return [Report()]
        self.removed = True
        return [Report(), Remove()]
