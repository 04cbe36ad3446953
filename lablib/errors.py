"""Every error that lablib raises on purpose.

    LabError
    ├── SetupError            the machine or its set-up lacks something
    │   └── ChecksumMismatch  a file is not the one that was pinned
    ├── ClusterError          the cluster refused, or can't be reached
    │   ├── Invalid           400, 422: the object is not one
    │   ├── Forbidden         403: role, quota or admission policy says no
    │   ├── NotFound          404
    │   ├── Conflict          409: somebody else was first
    │   ├── Gone              410: too old a version; list again
    │   ├── TooManyRequests   429: a disruption budget says not now
    │   ├── Unreachable       nobody answers
    │   └── TimedOut          what was waited for did not happen
    ├── GpuError              NVML or the driver refused
    ├── DemandError           a pod asks for GPUs in a way that can't be read
    ├── TraceError            a damaged trace: file, row, column, value, what was expected
    └── GradingError          a lab or a submission can't be read

What a user reads is `what`, `where` and `remedy`, in that order. The command line prints the three
and exits with 1; it never prints a traceback of a LabError.
"""

from __future__ import annotations


class LabError(Exception):
    """Something went wrong that a user can understand and mend.

    Args:
        what: one sentence without a full stop: what went wrong.
        where: the file, object, address or command it is about; may be empty.
        remedy: what to try next, as an imperative sentence; may be empty.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        """All that is known, in one line."""
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text


class SetupError(LabError):
    """The machine or its set-up lacks something."""


class ChecksumMismatch(SetupError):
    """A file is not the one that was pinned."""


class ClusterError(LabError):
    """The cluster refused, or can't be reached."""

    status: int | None = None
    """The HTTP status that an API server gives for it."""


class Invalid(ClusterError):
    """The object is malformed, or breaks a rule of its kind."""

    status = 422


class Forbidden(ClusterError):
    """A role, a quota or an admission policy says no."""

    status = 403


class NotFound(ClusterError):
    """There is no such object."""

    status = 404


class Conflict(ClusterError):
    """Somebody else was first: it exists, it is bound, or it changed meanwhile."""

    status = 409


class Gone(ClusterError):
    """The version asked for is too old; list again."""

    status = 410


class TooManyRequests(ClusterError):
    """A disruption budget forbids an eviction for now."""

    status = 429


class Unreachable(ClusterError):
    """Nobody answers at the address."""


class TimedOut(ClusterError):
    """What was waited for did not happen in time."""


class GpuError(LabError):
    """NVML or the driver refused."""


class DemandError(LabError, ValueError):
    """A pod asks for GPUs in a way that can't be read. `where` names the pod."""


class TraceError(LabError):
    """A trace file is damaged. `where` names file, row and column."""


class GradingError(LabError):
    """A lab or a submission can't be read."""
