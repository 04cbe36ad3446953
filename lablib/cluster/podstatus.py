"""The status of a pod that really runs, as a kubelet writes it. Does no I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lablib.cluster.podlife import PodLife, Run

OVERDUE: Final = {
    "reason": "DeadlineExceeded",
    "message": "Pod was active on the node longer than the specified deadline",
}


def pod_status(life: PodLife, conditions: Sequence[Mapping[str, Any]], now: float) -> dict[str, Any]:
    """The pod's status for a merge patch.

    Args:
        life: the pod.
        conditions: those it has; the scheduler's stays.
        now: Unix time.
    """
    ready = life.phase == "Running" and all(
        life.runs[container.name].state == "running" for container in life.spec.containers
    )
    ours = {"Initialized": life.phase != "Pending", "ContainersReady": ready, "Ready": ready}
    kept = [dict(each) for each in conditions if each.get("type") not in ours]
    made = [
        {"type": name, "status": str(value), "lastTransitionTime": _time(now)} for name, value in ours.items()
    ]
    return {
        "phase": life.phase,
        "startTime": _time(life.started_seconds),
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [*kept, *made],
        "containerStatuses": [_container(each.name, life) for each in life.spec.containers],
        "initContainerStatuses": [_container(each.name, life) for each in life.spec.first],
    } | (OVERDUE if life.overdue else {})


def failed_status(reason: str, message: str) -> dict[str, Any]:
    """The status of a pod that can't be run at all."""
    return {"phase": "Failed", "reason": reason, "message": message}


def _container(name: str, life: PodLife) -> dict[str, Any]:
    run = life.runs[name]
    return {
        "name": name,
        "image": "process",
        "imageID": "",
        "containerID": f"process://{life.spec.uid}/{name}",
        "ready": run.state == "running",
        "started": run.state == "running",
        "restartCount": run.restarts,
        "state": _state(run),
        "lastState": {"terminated": _ended(run)} if run.due_seconds is not None else {},
    }


def _state(run: Run) -> dict[str, Any]:
    # A merge patch keeps what it doesn't name: the other states are named to be removed.
    states: dict[str, Any] = {"waiting": None, "running": None, "terminated": None}
    if run.due_seconds is not None:
        states["waiting"] = {
            "reason": "CrashLoopBackOff",
            "message": run.message or "it will be started again",
        }
    elif run.state == "terminated":
        states["terminated"] = _ended(run)
    elif run.state == "running":
        states["running"] = {"startedAt": _time(run.started_seconds)}
    else:
        states["waiting"] = {"reason": run.reason, "message": run.message}
    return states


def _ended(run: Run) -> dict[str, Any]:
    code = run.exit_code or 0
    signal = {"signal": code - 128} if code > 128 else {}
    return {
        "exitCode": code,
        "reason": run.reason,
        "message": run.message,
        "startedAt": _time(run.started_seconds),
        "finishedAt": _time(run.finished_seconds),
    } | signal


def _time(seconds: float) -> str | None:
    if not seconds:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
