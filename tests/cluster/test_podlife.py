"""The life of a pod, decided: events in, instructions out."""

import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lablib.cluster.podlife import PodLife, Remove, Report, Signal, Start
from lablib.cluster.podspec import ConfigError, Container, PodSpec, pod_spec, wanted
from lablib.cluster.podstatus import pod_status

MAIN = Container("main", ("sh",), {}, None)
SPEC = PodSpec("default", "p", "uid", (MAIN,), (), "Never", 30.0, 10.0)


def life(**changes):
    return PodLife(replace(SPEC, **changes))


def test_a_pod_starts_runs_and_succeeds():
    pod = life()
    assert pod.begin(1) == [Start("main"), Report()]
    assert pod.phase == "Pending"
    assert pod.started("main", 2) == [Report()]
    assert pod.phase == "Running"
    assert pod.exited("main", 0, 3) == [Report()]
    assert pod.phase == "Succeeded"
    assert pod.due_seconds is None


def test_a_signal_is_an_exit_code_above_128():
    pod = life()
    pod.begin(1)
    pod.started("main", 1)
    pod.exited("main", -9, 2)
    assert (pod.phase, pod.runs["main"].exit_code, pod.runs["main"].reason) == ("Failed", 137, "Error")


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Never", 1, False),
        ("Never", 0, False),
        ("OnFailure", 1, True),
        ("OnFailure", 0, False),
        ("Always", 0, True),
        ("Always", 1, True),
    ],
)
def test_who_is_started_again(policy, code, again):
    pod = life(restart_policy=policy)
    pod.begin(0)
    pod.started("main", 0)
    pod.exited("main", code, 5)
    assert (pod.due_seconds == 15) is again
    assert pod.tick(14.9) == []
    assert pod.tick(15) == ([Start("main")] if again else [])


def test_the_pause_doubles_up_to_five_minutes():
    pod, now, pauses = life(restart_policy="Always"), 0.0, []
    pod.begin(now)
    for _ in range(8):
        pod.started("main", now)
        pod.exited("main", 1, now)
        pauses.append(pod.due_seconds - now)
        now = pod.due_seconds
        pod.tick(now)
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]


def test_init_containers_go_first_and_one_by_one():
    first = (Container("a", ("sh",), {}, None), Container("b", ("sh",), {}, None))
    pod = life(first=first)
    assert pod.begin(0) == [Start("a"), Report()]
    pod.started("a", 0)
    assert pod.exited("a", 0, 1) == [Start("b"), Report()]
    pod.started("b", 1)
    assert pod.exited("b", 0, 2) == [Start("main"), Report()]


def test_an_init_container_that_fails_ends_the_pod():
    pod = life(first=(Container("a", ("sh",), {}, None),))
    pod.begin(0)
    pod.started("a", 0)
    assert pod.exited("a", 1, 1) == [Report()]
    assert pod.phase == "Failed"


def test_deletion_is_term_then_kill_then_removal():
    pod = life()
    pod.begin(0)
    pod.started("main", 0)
    assert pod.stop(30, 10) == [Signal(signal.SIGTERM)]
    assert pod.tick(39.9) == []
    assert pod.tick(40) == [Signal(signal.SIGKILL)]
    assert pod.tick(41) == []
    assert pod.exited("main", -9, 41) == [Report(), Remove()]


def test_a_second_deletion_may_shorten_the_grace_and_never_lengthen_it():
    pod = life()
    pod.begin(0)
    pod.started("main", 0)
    pod.stop(30, 10)
    assert pod.stop(60, 11) == []
    assert pod.kill_seconds == 40
    assert pod.stop(2, 12) == []
    assert pod.tick(14) == [Signal(signal.SIGKILL)]


def test_deletion_without_grace_kills_at_once():
    pod = life()
    pod.begin(0)
    pod.started("main", 0)
    assert pod.stop(0, 5) == [Signal(signal.SIGKILL)]


def test_a_pod_that_never_started_is_removed_at_once():
    assert life().stop(30, 0) == [Report(), Remove()]


def test_nothing_is_started_again_while_it_stops():
    pod = life(restart_policy="Always")
    pod.begin(0)
    pod.started("main", 0)
    pod.stop(30, 1)
    assert pod.exited("main", 1, 2) == [Report(), Remove()]
    assert pod.tick(1000) == []


def test_a_pod_over_its_deadline_is_ended_and_stays_as_failed():
    pod = life(deadline_seconds=5.0, restart_policy="Always")
    pod.begin(1)
    pod.started("main", 1)
    assert pod.due_seconds == 6
    assert pod.tick(5.9) == []
    assert pod.tick(6) == [Signal(signal.SIGTERM)]
    assert pod.phase == "Running"
    assert pod.due_seconds == 36  # the grace period
    assert pod.exited("main", -15, 7) == [Report()]
    assert (pod.phase, pod.due_seconds, pod.tick(99)) == ("Failed", None, [])
    assert pod_status(pod, (), 7)["reason"] == "DeadlineExceeded"
    assert pod.stop(30, 100) == [Report(), Remove()]


def test_a_pod_that_waits_to_start_again_is_over_its_deadline_too():
    pod = life(deadline_seconds=5.0, restart_policy="Always")
    pod.begin(0)
    pod.started("main", 0)
    pod.exited("main", 1, 1)
    assert pod.tick(5) == [Report()]
    assert (pod.phase, pod.tick(11)) == ("Failed", [])


def test_a_pod_that_ended_in_time_is_left_alone():
    pod = life(deadline_seconds=5.0)
    pod.begin(0)
    pod.started("main", 0)
    pod.exited("main", 0, 1)
    assert (pod.phase, pod.due_seconds, pod.tick(6)) == ("Succeeded", None, [])


def test_deletion_of_a_pod_over_its_deadline_may_shorten_the_grace():
    pod = life(deadline_seconds=5.0)
    pod.begin(0)
    pod.started("main", 0)
    pod.tick(5)
    assert pod.stop(2, 6) == []
    assert pod.tick(8) == [Signal(signal.SIGKILL)]
    assert pod.exited("main", -9, 8) == [Report(), Remove()]


def test_a_program_that_is_not_there_fails_with_a_reason():
    pod = life()
    pod.begin(0)
    assert pod.failed_to_start("main", "no such file", 1) == [Report()]
    assert (pod.phase, pod.runs["main"].message) == ("Failed", "no such file")


@given(st.lists(st.sampled_from(["start", "exit0", "exit1", "stop", "tick"]), max_size=30))
def test_whatever_happens_a_pod_is_removed_once_and_nothing_starts_after(events):
    pod, now, removed = life(restart_policy="Always"), 0.0, 0
    starting = {each.container for each in pod.begin(now) if isinstance(each, Start)}
    for event in events:
        now += 7
        if event == "start" and starting:
            out = pod.started(starting.pop(), now)
        elif event.startswith("exit") and pod.running:
            out = pod.exited("main", int(event[-1]), now)
        elif event == "stop":
            out = pod.stop(5, now)
        else:
            out = pod.tick(now)
        removed += out.count(Remove())
        starting |= {each.container for each in out if isinstance(each, Start)}
        assert not (pod.removed and any(isinstance(each, Start) for each in out))
    assert removed <= 1


def manifest(**container):
    return {
        "metadata": {
            "name": "p",
            "namespace": "team",
            "uid": "u",
            "annotations": {"lab/run": "process"},
            "labels": {"app": "x"},
        },
        "spec": {"nodeName": "n", "containers": [{"name": "main", "command": ["echo", "$(A)"]} | container]},
    }


def test_a_pod_is_read_with_its_variables():
    env = [
        {"name": "A", "value": "one"},
        {"name": "B", "value": "$(A) two $(C) $$(A)"},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    ]
    spec = pod_spec(manifest(env=env, args=["$(B)"]))
    assert spec.containers == (
        Container(
            "main",
            ("echo", "one", "one two $(C) $(A)"),
            {"A": "one", "B": "one two $(C) $(A)", "C": "x"},
            None,
        ),
    )
    assert (spec.restart_policy, spec.grace_seconds, spec.backoff_seconds) == ("Always", 30.0, 10.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"command": None}, "has no command"),
        ({"envFrom": [{"configMapRef": {"name": "x"}}]}, "envFrom"),
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {}}}]}, "configMapKeyRef"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.x"}}}]}, "fieldRef status.x"),
    ],
)
def test_what_a_process_cannot_have_is_said(change, words):
    with pytest.raises(ConfigError, match=words):
        pod_spec(manifest(**change))


def test_only_bound_and_annotated_pods_are_wanted():
    assert wanted(manifest())
    unbound, plain = manifest(), manifest()
    del unbound["spec"]["nodeName"], plain["metadata"]["annotations"]["lab/run"]
    assert not wanted(unbound)
    assert not wanted(plain)


def test_the_status_keeps_the_schedulers_condition():
    pod = life()
    pod.begin(1)
    pod.started("main", 2)
    scheduled = {"type": "PodScheduled", "status": "True"}
    status = pod_status(pod, [scheduled, {"type": "Ready", "status": "False"}], 3)
    assert scheduled in status["conditions"]
    assert [each["status"] for each in status["conditions"] if each["type"] == "Ready"] == ["True"]
    assert status["containerStatuses"][0]["state"]["running"] == {"startedAt": "1970-01-01T00:00:02Z"}
    pod.exited("main", -15, 4)
    ended = pod_status(pod, [], 5)["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (143, 15)
