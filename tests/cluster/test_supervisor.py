"""The supervisor, run for real over small programs."""

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import asdict

import psutil
import pytest

from lablib.cluster.supervisor import COMPONENTS, Component, read_processes, write_json
from tests.waiting import eventually, marked

WAIT = "import signal; signal.pause()"
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
)
ORPHAN = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
)


class Ground:
    """A state folder, a supervisor over it, and a mark on every process of its."""

    def __init__(self, folder):
        self.folder, self.mark, self.process = folder, uuid.uuid4().hex, None

    def want(self, **programs):
        env = {"MARK": self.mark, "PATH": os.environ["PATH"]}
        wanted = [
            Component(name, [sys.executable, "-c", *program], env, str(self.folder / f"{name}.log"))
            for name, program in programs.items()
        ]
        write_json(self.folder / COMPONENTS, [asdict(component) for component in wanted])

    def start(self, *arguments):
        command = [sys.executable, "-m", "lablib.cluster.supervisor", str(self.folder), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert eventually(lambda: read_processes(self.folder))
        return self.process

    def marked(self):
        return marked("MARK", self.mark)

    def running(self, name):
        return read_processes(self.folder)[name]


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    yield ground
    ground.process.kill()
    ground.process.stdin.close()
    ground.process.wait()
    assert eventually(lambda: not ground.marked())


def test_it_says_how_each_ended_and_starts_it_again_when_told(ground):
    ground.want(stays=[WAIT], fails=["raise SystemExit(3)"])
    supervisor = ground.start()
    assert eventually(lambda: ground.running("fails").exit_code == 3)
    stays = ground.running("stays")
    os.kill(stays.pid, signal.SIGKILL)
    assert eventually(lambda: ground.running("stays").exit_code == -signal.SIGKILL)

    supervisor.send_signal(signal.SIGHUP)

    assert eventually(lambda: ground.running("stays").exit_code is None)
    assert ground.running("stays").pid != stays.pid


def test_it_stops_what_is_no_longer_wanted(ground):
    ground.want(one=[WAIT], two=[WAIT])
    supervisor = ground.start()
    two = ground.running("two").pid
    ground.want(one=[WAIT])
    supervisor.send_signal(signal.SIGHUP)
    assert eventually(lambda: "two" not in read_processes(ground.folder))
    assert not psutil.pid_exists(two)
    assert ground.running("one").exit_code is None


def test_a_program_that_cannot_be_started_is_noted_in_its_log(ground):
    write_json(
        ground.folder / COMPONENTS, [asdict(Component("gone", ["/no/such"], {}, f"{ground.folder}/gone.log"))]
    )
    ground.start()
    assert ground.running("gone").exit_code is not None
    assert "/no/such" in (ground.folder / "gone.log").read_text()


def test_term_ends_all_even_what_will_not_go_and_what_was_left_behind(ground):
    ground.want(first=[WAIT], deaf=[DEAF], parent=[ORPHAN, WAIT])
    supervisor = ground.start()
    assert eventually(lambda: ground.running("parent").exit_code == 0)
    assert eventually(lambda: "deaf" in (ground.folder / "deaf.log").read_text())
    supervisor.terminate()
    assert supervisor.wait() == 0
    assert not ground.marked()
    table = json.loads((ground.folder / "processes.json").read_text())
    assert table["deaf"]["exit_code"] == -signal.SIGKILL
    assert table["first"]["exit_code"] == -signal.SIGTERM


def test_a_record_that_cannot_be_written_ends_nothing(ground):
    ground.want(one=[WAIT], two=["import time; time.sleep(0.5)"])
    supervisor = ground.start()
    two = ground.running("two").pid
    (ground.folder / "processes.partial").mkdir()  # as good as a full disk
    assert eventually(lambda: not psutil.pid_exists(two))
    assert supervisor.poll() is None
    assert psutil.pid_exists(ground.running("one").pid)


def test_a_closed_lifeline_ends_all_and_removes_the_folder(ground):
    ground.want(one=[WAIT])
    supervisor = ground.start("--lifeline")
    supervisor.stdin.close()
    assert supervisor.wait() == 0
    assert not ground.folder.exists()
    assert not ground.marked()


def test_a_killed_supervisor_takes_its_components_along(ground):
    ground.want(one=[WAIT], two=[WAIT])
    supervisor = ground.start()
    assert len(ground.marked()) == 2
    supervisor.kill()
    assert eventually(lambda: not ground.marked())
