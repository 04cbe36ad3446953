"""A real Ray: the task outlives its worker, and nothing outlives the Ray."""

import os
import signal
import subprocess
import sys

import pytest

from lablib.errors import LabError
from lablib.faults.controller import Attempt, LocalRay, TaskStory, count_through_a_kill
from tests.waiting import eventually, marked

OWNER = """
import time
from lablib.faults.controller import LocalRay
with LocalRay(workers=1):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def local_ray():
    with LocalRay() as ray:
        yield ray


def test_a_task_outlives_its_worker_and_repeats_what_was_done(local_ray, capfd):
    story = count_through_a_kill(steps=6, kill_after=3)
    assert [attempt.ended for attempt in story.attempts] == ["killed", "done"]
    first, second = story.attempts
    assert first.pid != second.pid
    assert first.steps[:3] == (1, 2, 3)
    assert second.steps == (1, 2, 3, 4, 5, 6)
    assert story.repeated == first.steps
    assert story.result == 21
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kill_after", [0, 6, 7])
def test_a_step_that_is_not_there_is_refused(kill_after):
    with pytest.raises(LabError, match="no step"):
        count_through_a_kill(steps=6, kill_after=kill_after)


def test_a_second_ray_in_one_process_is_refused(local_ray):
    with pytest.raises(LabError, match="runs in this process already"), LocalRay():
        pass


def test_a_story_reads_as_text():
    story = TaskStory((Attempt(7, (1, 2), "killed"), Attempt(8, (1, 2, 3), "done")), 6)
    assert str(story).splitlines() == [
        "attempt 1 in process 7: steps 1, 2; killed",
        "attempt 2 in process 8: steps 1, 2, 3; done",
        "result 6; done twice: 1, 2",
    ]


def test_ray_ends_with_its_owner_even_when_that_is_killed():
    mark = f"ray-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, env={**os.environ, "LAB_TEST": mark}
    ) as owner:
        assert owner.stdout.readline() == b"up\n"
        assert len(marked("LAB_TEST", mark)) > 2
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert eventually(lambda: not marked("LAB_TEST", mark))
