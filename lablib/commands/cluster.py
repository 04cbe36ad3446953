"""`lablib cluster`: start, examine and end clusters from the terminal. Does I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from lablib.errors import LabError, NotFound

if TYPE_CHECKING:
    from lablib.cluster.embedded import EmbeddedCluster
    from lablib.cluster.existing import ExistingCluster
    from lablib.cluster.kind import KindCluster
    from lablib.cluster.pools import NodePool
    from lablib.cluster.status import Status

app = typer.Typer(no_args_is_help=True, help="Kubernetes clusters for the labs: up, status, down.")


class Backend(StrEnum):
    """What the cluster is made of."""

    EMBEDDED = "embedded"
    KIND = "kind"
    KIND_GPU = "kind-gpu"
    EXISTING = "existing"


Name = Annotated[str, typer.Option(help="Name of the cluster; several can run at once.")]
Which = Annotated[
    Backend,
    typer.Option("--backend", help="embedded: processes here. kind, kind-gpu: containers. existing: yours."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@app.command()
def up(
    backend: Which = Backend.EMBEDDED,
    name: Name = "lab",
    nodes: Annotated[int | None, typer.Option(min=0, max=500, help="Nodes of --gpu-model.")] = None,
    gpu_model: Annotated[str | None, typer.Option(help="Such as H100, A100-80, L40S or T4.")] = None,
    run_pods: Annotated[
        bool, typer.Option(help="Run pods annotated lab/run as processes of yours. No isolation.")
    ] = False,
) -> None:
    """Start a cluster, or mend one that half died. It stays until `lablib cluster down`.

    Example: lablib cluster up --nodes 4 --gpu-model H100
    """
    console = Console()
    cluster = _cluster(backend, name, _pools(nodes, gpu_model), run_pods=run_pods)
    with _progress(console, "the cluster starts, usually 5 s") as report:
        cluster.up(report)
    _show(console, cluster.status())
    console.print(f"export KUBECONFIG={cluster.kubeconfig}", highlight=False, soft_wrap=True)


@app.command()
def status(name: Name = "lab", backend: Which = Backend.EMBEDDED, as_json: Json = False) -> None:
    """Show how each component is, and the end of the log of whatever is ill. Status 1 when it is.

    Example: lablib cluster status --json
    """
    found = _cluster(backend, name).status()
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"well": found.well}))
    else:
        _show(Console(), found)
    if not found.well:
        raise typer.Exit(1)


@app.command()
def down(
    name: Name = "lab",
    backend: Which = Backend.EMBEDDED,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """End a cluster and remove all that it kept. On an existing one: remove the lab's objects, nothing else.

    Example: lablib cluster down
    """
    console = Console()
    if backend is Backend.EXISTING and not yes:
        typer.confirm("Delete every object that carries the label lab/managed=true?", abort=True)
    with _progress(console, "the cluster stops, usually 2 s") as report:
        ended = _cluster(backend, name).down(report)
    console.print(f"Cluster {name} has gone." if ended else f"There is no cluster {name}.", highlight=False)


@app.command()
def kubeconfig(name: Name = "lab", backend: Which = Backend.EMBEDDED) -> None:
    """Print the path of the cluster's kubeconfig.

    Example: export KUBECONFIG=$(lablib cluster kubeconfig)
    """
    path = _cluster(backend, name).kubeconfig
    if not path.exists():
        raise NotFound(f"Cluster {name} is not up", remedy=f"Start it: lablib cluster up --name {name}")
    typer.echo(path)


def _cluster(
    backend: Backend, name: str, pools: tuple[NodePool, ...] | None = None, *, run_pods: bool = False
) -> EmbeddedCluster | ExistingCluster | KindCluster:
    from lablib.cluster.embedded import EmbeddedCluster
    from lablib.cluster.existing import ExistingCluster
    from lablib.cluster.kind import KindCluster
    from lablib.settings import Settings

    if backend is Backend.EMBEDDED:
        return EmbeddedCluster(name, pools, run_pods=run_pods, keep=True)
    if backend in (Backend.KIND, Backend.KIND_GPU):
        return KindCluster(name, gpus=backend is Backend.KIND_GPU)
    kubeconfig = Settings().kubeconfig
    if kubeconfig is None:
        raise LabError("No cluster is named", remedy="Name its kubeconfig: LAB_KUBECONFIG=~/.kube/config")
    return ExistingCluster(kubeconfig)


def _pools(nodes: int | None, gpu_model: str | None) -> tuple[NodePool, ...] | None:
    """The one pool that was asked for; None when nothing was."""
    from lablib.cluster.pools import NodePool

    if nodes is None and gpu_model is None:
        return None
    return (NodePool(gpu_model or "H100", nodes=4 if nodes is None else nodes),)


@contextmanager
def _progress(console: Console, title: str) -> Iterator[Callable[[str], None]]:
    """A spinner with what is being done; plain lines where there is no terminal."""
    if not console.is_terminal:
        yield lambda line: console.print(line, highlight=False)
        return
    with console.status(title) as spinner:
        yield lambda line: spinner.update(f"{title}: {line}")


def _show(console: Console, status: Status) -> None:
    """A table of the components, then what the ill ones say."""
    if not status.components:
        console.print(f"Cluster {status.name} is down. Start it: lablib cluster up --name {status.name}")
        return
    table = Table("component", "state", "process", "up", "memory", box=None, pad_edge=False)
    for each in status.components:
        mark = "[green]✓[/]" if each.well else "[red]✗[/]"
        uptime = "" if each.uptime_seconds is None else f"{each.uptime_seconds:.0f} s"
        memory = "" if each.memory_mib is None else f"{each.memory_mib:.0f} MiB"
        table.add_row(f"{mark} {each.name}", each.state, str(each.pid or ""), uptime, memory)
    console.print(table)
    console.print(f"{status.nodes_ready} of {status.nodes} nodes are Ready", highlight=False)
    for each in status.components:
        if not each.well:
            console.print(f"\n{each.name}: {each.detail}", style="bold", markup=False, highlight=False)
            for line in each.log:
                console.print(f"  {line}", markup=False, highlight=False, no_wrap=True, overflow="ellipsis")
