"""Start the components of an embedded cluster, and wait until each is well. Does I/O; starts processes.

What can start at once starts at once: etcd and the API server, then all the others as soon as it answers
and knows their roles.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import psutil
import yaml

from lablib.cluster import pki
from lablib.cluster.components import MARK, Plan, components
from lablib.cluster.health import answers, how_it_ended, log_end, resident_mib
from lablib.cluster.record import Process
from lablib.cluster.supervisor import COMPONENTS, PROCESSES, Running, read_processes, write_json
from lablib.errors import ClusterError, TimedOut

FIRST: Final = ("etcd", "kube-apiserver")
START_SECONDS: Final = 120.0
MEND_SECONDS: Final = 3.0
"""A component that runs and doesn't answer for so long is killed when a cluster is mended."""
POLL_SECONDS: Final = 0.02
PORT_TAKEN: Final = "address already in use"

Report = Callable[[str], None]
"""Called with a line on what is being done."""


class PortTaken(ClusterError):
    """Somebody took a port between its choice and its use."""


def prepare(plan: Plan) -> None:
    """Make folders, and certificates and kubeconfigs where they are missing or old."""
    for name in ("logs", "kubeconfigs", "serving"):
        (plan.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    if pki.days_left(plan.pki, dt.datetime.now(dt.UTC)) < pki.RENEW_DAYS:
        pki.write(plan.pki)
    server = f"https://{plan.address('kube-apiserver')}"
    for client in pki.CLIENTS:
        path = plan.folder / "kubeconfigs" / client.file
        config = pki.kubeconfig(plan.pki, server, client.file, f"lab-{plan.folder.name}")
        pki.write_private(path, config.encode())
    shutil.copy(plan.folder / "kubeconfigs" / "admin", plan.folder / "kubeconfig")
    (plan.folder / PROCESSES).unlink(missing_ok=True)


def write_components(plan: Plan, names: Sequence[str] | None = None) -> None:
    """Tell the supervisor what should run: all, or only `names`."""
    wanted = [asdict(each) for each in components(plan) if names is None or each.name in names]
    write_json(plan.folder / COMPONENTS, wanted)


def start_supervisor(plan: Plan, *, lifeline: bool) -> subprocess.Popen[bytes]:
    """The supervisor, in a session of its own so that no terminal's Ctrl-C reaches it."""
    command = [sys.executable, "-m", "lablib.cluster.supervisor", str(plan.folder)]
    with (plan.folder / "logs" / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--lifeline"] if lifeline else command,
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, MARK: str(plan.folder)},
            start_new_session=True,
        )


class Launch:
    """One start, or one repair, of a cluster that has a supervisor."""

    def __init__(self, plan: Plan, supervisor: Process, report: Report) -> None:
        self._plan, self._supervisor, self._report = plan, supervisor, report
        self._since = 0.0

    def start_missing(self) -> None:
        """Have the supervisor start what components.json names and is not running."""
        self._since = time.time()
        with suppress(ProcessLookupError):
            os.kill(self._supervisor.pid, signal.SIGHUP)

    def mend(self) -> None:
        """Kill what runs without answering, and start what is missing."""
        table = read_processes(self._plan.folder)
        deadline = time.monotonic() + MEND_SECONDS
        alive = [name for name, running in table.items() if resident_mib(running) is not None]
        ill = [name for name in alive if self._problem(name)]
        while ill and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            ill = [name for name in ill if self._problem(name)]
        for name in ill:
            self._report(f"{name} runs and doesn't answer: killed, to be started again")
            self._kill(table[name])
        self.start_missing()

    def _kill(self, running: Running) -> None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(running.pid)
            process.kill()
        deadline = time.monotonic() + START_SECONDS
        while self._ended_later(running) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _ended_later(self, running: Running) -> bool:
        """True until the supervisor has noted the end of this process."""
        return any(
            each.pid == running.pid and each.exit_code is None
            for each in read_processes(self._plan.folder).values()
        )

    def await_api(self) -> None:
        """Wait for the API server, give the others their roles, and start them.

        Raises:
            ClusterError: a component can't start; with the end of its log.
            PortTaken: because somebody has its port.
            TimedOut: one does not get well.
        """
        self.wait_well(FIRST)
        apply(self._plan, "rbac.yaml")
        if self._plan.run_pods:
            apply(self._plan, "logs-crd.yaml")
        write_components(self._plan)
        self.start_missing()

    def await_others(self) -> None:
        """Wait until all the others are well.

        Raises:
            ClusterError, PortTaken, TimedOut: as await_api.
        """
        others = [each.name for each in components(self._plan) if each.name not in FIRST]
        self.wait_well(others)

    def wait_well(self, names: Sequence[str]) -> None:
        """Wait until each of them runs and says that it is well."""
        deadline = time.monotonic() + START_SECONDS
        waiting = {name: problem for name in names if (problem := self._problem(name))}
        if waiting:
            self._report(f"waiting for {', '.join(waiting)}")
        while waiting:
            self._check_alive(waiting)
            self._remind(waiting)
            waiting = {name: problem for name in waiting if (problem := self._problem(name))}
            if waiting and time.monotonic() > deadline:
                name, problem = next(iter(waiting.items()))
                raise TimedOut(self._story(name, problem), where=self._log(name), remedy=self._remedy())
            time.sleep(POLL_SECONDS if waiting else 0)

    def _remind(self, names: Iterable[str]) -> None:
        """Tell the supervisor again of one whose end it noted only after it was told to start it."""
        table = read_processes(self._plan.folder)
        late = [
            name
            for name in names
            if (running := table.get(name))
            and running.exit_code is not None
            and running.started < self._since
        ]
        if late:
            with suppress(ProcessLookupError):
                os.kill(self._supervisor.pid, signal.SIGHUP)

    def _problem(self, name: str) -> str:
        running = read_processes(self._plan.folder).get(name)
        return answers(self._plan, name) if running else "it was not started"

    def _check_alive(self, names: Sequence[str] | dict[str, str]) -> None:
        table = read_processes(self._plan.folder)
        for name in names:
            running = table.get(name)
            if running and running.exit_code is not None and running.started >= self._since:
                story = self._story(name, how_it_ended(running))
                kind = PortTaken if PORT_TAKEN in story else ClusterError
                raise kind(story, where=self._log(name), remedy=self._remedy())
        if not self._supervisor.alive():
            log = "\n".join(log_end(self._plan, "supervisor"))
            raise ClusterError(f"The cluster's supervisor ended\n{log}", remedy=self._remedy())

    def _story(self, name: str, problem: str) -> str:
        log = "\n  ".join(log_end(self._plan, name))
        return f"{name} did not start: {problem}\n  {log}"

    def _log(self, name: str) -> str:
        return str(self._plan.folder / "logs" / f"{name}.log")

    def _remedy(self) -> str:
        return (
            "Read the log, see `lablib doctor`, and begin anew: "
            f"lablib cluster down --name {self._plan.folder.name}"
        )


def apply(plan: Plan, file: str) -> None:
    """Create the objects in one of clusters/embedded's files; those that are there stay."""
    from kubernetes.client import ApiClient, Configuration  # takes 0.8 s
    from kubernetes.config import load_kube_config
    from kubernetes.utils import FailToCreateError, create_from_dict

    configuration = Configuration()
    load_kube_config(str(plan.folder / "kubeconfig"), client_configuration=configuration)
    with ApiClient(configuration) as client:
        for manifest in yaml.safe_load_all((plan.stages.parent / file).read_text()):
            try:
                create_from_dict(client, manifest)
            except FailToCreateError as error:
                refusals = [each for each in error.api_exceptions if each.status != 409]
                if refusals:
                    raise ClusterError(f"{file} can't be applied: {refusals[0].body}") from error
