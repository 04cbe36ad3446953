"""`lablib bench startup`: how long the embedded cluster takes, beside its bare binaries. Starts processes.

The peer is a launch of the same five binaries with the same flags and nothing else: no supervisor, no lock,
no records, no nodes. It polls each binary's own health address as we do. Rounds alternate, so that both
meet the same machine.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from lablib.benchmarks.rows import Row
from lablib.cluster import binaries
from lablib.cluster.components import Plan, components
from lablib.cluster.embedded import STAGES, EmbeddedCluster
from lablib.cluster.health import answers
from lablib.cluster.launch import FIRST, POLL_SECONDS, START_SECONDS, apply, prepare
from lablib.cluster.pools import NodePool
from lablib.cluster.record import free_ports
from lablib.cluster.status import Status
from lablib.cluster.supervisor import Component
from lablib.errors import TimedOut

ROUNDS: Final = 7
QUICK_ROUNDS: Final = 3
POOLS: Final = (NodePool("H100", nodes=6),)
GOAL: Final = 1.2


def measure(rounds: int, on_round: Callable[[int], None] = lambda _: None) -> list[Row]:
    """Median times to a control plane that is well, ours and bare; then memory by component."""
    bare, ours = [], []
    status = Status("none")
    for number in range(rounds):
        on_round(number)
        bare.append(bare_seconds())
        seconds, status = our_seconds()
        ours.append(seconds)
    peer, median = statistics.median(bare), statistics.median(ours)
    what = f"all well, and {status.nodes_ready} of {status.nodes} nodes Ready"
    goal = f"at most {GOAL} times the peer"
    return [
        Row(what, "s", median, peer, "bare launch, no nodes", goal, median <= GOAL * peer),
        *(Row(f"memory of {each.name}", "MiB", each.memory_mib or 0.0) for each in status.components),
        Row("memory of all", "MiB", sum(each.memory_mib or 0.0 for each in status.components)),
    ]


def our_seconds() -> tuple[float, Status]:
    """Seconds that `up` takes: every component well, the nodes Ready; and the status then."""
    started = time.perf_counter()
    with EmbeddedCluster("bench-startup", POOLS) as cluster:
        return time.perf_counter() - started, cluster.status()


def bare_seconds() -> float:
    """Seconds until the five binaries, launched by nothing but this function, are all well."""
    folder = Path(tempfile.mkdtemp(prefix="bare-"))
    started = time.perf_counter()
    try:
        plan = Plan(folder, free_ports({}), binaries.find().folder, STAGES)
        prepare(plan)
        each = {component.name: component for component in components(plan)}
        others = [component for name, component in each.items() if name not in FIRST]
        # etcd is started first and so ended last: without it the API server would wait for a minute.
        with running([each["etcd"]]), running([each["kube-apiserver"]]):
            await_well(plan, FIRST)
            apply(plan, "rbac.yaml")
            with running(others):
                await_well(plan, [component.name for component in others])
                return time.perf_counter() - started
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(wanted: Sequence[Component]) -> Iterator[None]:
    """Processes that run inside the `with`."""
    with ExitStack() as stack:
        for component in wanted:
            log = stack.enter_context(Path(component.log).open("wb"))
            child = subprocess.Popen(
                component.argv, env=dict(component.env), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            stack.callback(child.wait)
            stack.callback(child.terminate)
        yield


def await_well(plan: Plan, names: Sequence[str]) -> None:
    """Poll until each says that it is well.

    Raises:
        TimedOut: one does not.
    """
    deadline = time.monotonic() + START_SECONDS
    waiting = list(names)
    while waiting := [name for name in waiting if answers(plan, name)]:
        if time.monotonic() > deadline:
            raise TimedOut(f"{waiting[0]} does not answer", where=str(plan.folder))
        time.sleep(POLL_SECONDS)
