"""How the components of an embedded cluster are. Does I/O: asks each on loopback."""

from __future__ import annotations

import ssl
import time
from collections import deque
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final

import psutil

from lablib.cluster.components import HEALTH, Plan
from lablib.cluster.supervisor import Running
from lablib.units import MIB

LOG_LINES: Final = 12
ANSWER_SECONDS: Final = 2.0
SAME_SECONDS: Final = 5.0
"""A process whose start differs more than this from what was recorded is another one."""


@dataclass(frozen=True)
class Health:
    """One component, as `status` finds it."""

    name: str
    state: str
    """"running", "unhealthy" (it runs and doesn't answer) or "ended"."""
    pid: int | None = None
    uptime_seconds: float | None = None
    memory_mib: float | None = None
    """Resident."""
    detail: str = ""
    """How it ended, or why it counts as unhealthy."""
    log: tuple[str, ...] = ()
    """The end of its log, when it is ill."""

    @property
    def well(self) -> bool:
        """True when it runs and says so."""
        return self.state == "running"


def answers(plan: Plan, name: str) -> str:
    """Ask a component whether it is well: "" if so, else what it said or why it can't be asked."""
    if name not in HEALTH:
        return ""  # the kubelet listens to nobody
    connection = HTTPSConnection(
        "127.0.0.1", plan.ports[name], timeout=ANSWER_SECONDS, context=_context(plan.pki, name)
    )
    try:
        connection.request("GET", HEALTH[name])
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"it doesn't answer: {error}"
    finally:
        connection.close()
    return "" if response.status == 200 else text.strip()


def _context(pki: Path, name: str) -> ssl.SSLContext:
    """Trusts anyone: this asks on loopback, and tells nothing but etcd's client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if name == "etcd":
        context.load_cert_chain(pki / "etcd-client.crt", pki / "etcd-client.key")
    return context


def examine(plan: Plan, name: str, running: Running | None) -> Health:
    """One component's health; what the supervisor says of it, and what it says itself."""
    log = log_end(plan, name)
    if running is None:
        return Health(name, "ended", detail="it was never started")
    memory_mib = resident_mib(running)
    if memory_mib is None:
        return Health(name, "ended", detail=how_it_ended(running), log=log)
    problem = answers(plan, name)
    return Health(
        name,
        "unhealthy" if problem else "running",
        pid=running.pid,
        uptime_seconds=time.time() - running.started,
        memory_mib=memory_mib,
        detail=problem,
        log=log if problem else (),
    )


def resident_mib(running: Running) -> float | None:
    """Memory of a component's process; None when it has ended, or another process has its number."""
    try:
        process = psutil.Process(running.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if abs(process.create_time() - running.started) > SAME_SECONDS:
            return None
        return float(process.memory_info().rss / MIB)
    except psutil.NoSuchProcess:
        return None


def how_it_ended(running: Running) -> str:
    """In words."""
    if running.exit_code is None:
        return "it has gone, and its supervisor has not said how"
    if running.exit_code < 0:
        return f"killed by signal {-running.exit_code}"
    return f"ended with status {running.exit_code}"


def log_end(plan: Plan, name: str, lines: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a component's log."""
    try:
        with (plan.folder / "logs" / f"{name}.log").open(errors="replace") as log:
            return tuple(line.rstrip("\n") for line in deque(log, maxlen=lines))
    except FileNotFoundError:
        return ()
