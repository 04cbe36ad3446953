"""`lablib tour`: lab 00's pieces in the terminal, in two minutes. Does I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from lablib.errors import LabError

Say = Callable[[object], None]


def tour() -> None:
    """Run each piece of lab 00 for real, and say what it shows. Two minutes; nothing is left.

    Example: lablib tour
    """
    console = Console(highlight=False)
    failed = 0
    for number, (title, means, show) in enumerate(STOPS, 1):
        console.rule(f"[bold]{number} of {len(STOPS)} · {title}", align="left")
        try:
            with _working(console, title):
                show(lambda value: console.print(str(value), markup=False, soft_wrap=True))
        except LabError as error:
            failed += 1
            console.print(f"[red]✗[/] {error}", soft_wrap=True)
            continue
        console.print(f"[green]✓[/] [italic]{means}[/]\n", soft_wrap=True)
    if failed:
        console.print(f"{failed} of {len(STOPS)} did not work. See: lablib doctor")
        raise typer.Exit(1)
    console.print("That was lab 00 in short. In the notebook you build and break it: [bold]make lab[/]")


@contextmanager
def _working(console: Console, title: str) -> Iterator[None]:
    """A spinner while a stop works; nothing where there is no terminal."""
    if not console.is_terminal:
        yield
        return
    with console.status(title):
        yield


def _cluster(say: Say) -> None:
    from lablib.cluster.convert import pod_manifest
    from lablib.cluster.embedded import EmbeddedCluster
    from lablib.cluster.pools import NodePool
    from lablib.cluster.wait import wait_until
    from lablib.plots.map import cluster_map
    from lablib.scheduling.model import Pod
    from lablib.scheduling.report import assign

    pools = [NodePool("H100", nodes=3), NodePool("T4", nodes=2, gpus=4)]
    with EmbeddedCluster("tour", pools) as cluster, cluster.client() as client:
        parts = cluster.status().components
        say(
            f"{', '.join(part.name for part in parts)}: {sum(part.memory_mib or 0 for part in parts):.0f} MiB"
        )
        for number, gpus in enumerate([6, 6, 6, 4, 4, 1, 2, 8]):
            client.create(pod_manifest(Pod(f"train-{number}", resources={"nvidia.com/gpu": gpus})))
        found = wait_until(client, lambda listing: all(pod.node or pod.reason for pod in listing.pods))
        assigned = assign(found.nodes, found.pods)
        say(cluster_map(assigned).as_text())
        free = [state.total_gpu_milli_free // 1000 for state in assigned.snapshot.nodes]
        for pod in found.pods:
            if not pod.node:
                say(
                    f"{pod.name} waits for {pod.resources['nvidia.com/gpu']} GPUs; {sum(free)} are free, "
                    f"at most {max(free)} on one node. The scheduler: {pod.reason.partition('. ')[0]}"
                )


def _gpu(say: Say) -> None:
    from lablib.clock import ManualClock
    from lablib.gpu.nvml import open_telemetry
    from lablib.gpu.simulation import Change, SimulatedGpu
    from lablib.gpu.telemetry import thermal_margin

    clock = ManualClock()
    hot = SimulatedGpu("H100", [Change(0, utilization=1.0)], ambient_celsius=58)
    with open_telemetry([hot], clock) as telemetry:
        clock.sleep(180)
        sample = telemetry.sample(0)
        say(f"read from {telemetry.source}: {sample.model}")
        say(f"{sample.temperature_celsius} degrees, {thermal_margin(sample)} before it slows down")
        say(f"{sample.clock_mhz} MHz; held back by: {', '.join(sorted(sample.reasons)) or 'nothing'}")


def _ray(say: Say) -> None:
    from lablib.faults.controller import LocalRay, count_through_a_kill

    with LocalRay():
        say(count_through_a_kill(steps=6, kill_after=3))


def _engine(say: Say) -> None:
    from lablib.paging.probe import TinyEngine

    with TinyEngine() as engine:
        tables = list(engine.steps({"a haiku": [3] * 20, "an essay": [4] * 90}, max_tokens=60))
    say(tables[len(tables) // 2])


STOPS: tuple[tuple[str, str, Callable[[Say], None]], ...] = (
    (
        "a Kubernetes control plane on your desk (5 s)",
        "A real scheduler placed these pods. Enough free GPUs in all is not enough on one node.",
        _cluster,
    ),
    (
        "what a GPU says about itself (1 s)",
        "Each model slows down at a temperature of its own, not at everybody's 85 degrees, and says why.",
        _gpu,
    ),
    (
        "a Ray task whose worker is killed (15 s)",
        "It ended all the same. The first steps ran twice: at least once is not once.",
        _ray,
    ),
    (
        "the memory of a language model, on vLLM (30 s)",
        "Each request holds blocks of 32 tokens, wherever there is one; only its last is not full.",
        _engine,
    ),
)
"""Title, what it means, and what runs."""
