"""Pods that really run, on the embedded cluster: their processes, signals, exit codes, restarts and logs."""

import os
import signal
import sys
import uuid

import pytest

from lablib.cluster.embedded import EmbeddedCluster
from lablib.cluster.podprocess import UID
from lablib.cluster.pools import NodePool
from lablib.cluster.supervisor import read_processes
from lablib.cluster.wait import wait_until
from tests.waiting import eventually, marked

SMALL = (NodePool("H100", nodes=4, cpu_milli=1_000_000),)


def processes(*uids):
    """Processes of these pods; of any pod when none is named."""
    return marked(UID, *uids)


@pytest.fixture(scope="module")
def cluster(state_folder):
    with EmbeddedCluster(f"kubelet-{uuid.uuid4().hex[:6]}", SMALL, run_pods=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with cluster.client() as client:
        yield client


@pytest.fixture
def make(client):
    made = []

    def make(script, name="", command=None, policy="Never", grace=5, **extra):
        name = name or f"pod-{uuid.uuid4().hex[:8]}"
        env = extra.pop("env", [])
        spec = {
            "restartPolicy": policy,
            "terminationGracePeriodSeconds": grace,
            "containers": [
                {
                    "name": "main",
                    "image": "process",
                    "command": command or ["sh", "-c", script],
                    "env": env,
                    "resources": {"requests": {"cpu": "1m"}},
                }
            ],
        }
        annotations = {"lab/run": "process", "lab/backoff-seconds": "0.1"} | extra.pop("annotations", {})
        meta = {
            "name": name,
            "annotations": annotations,
            "labels": {"lab/test": "kubelet"} | extra.pop("labels", {}),
        }
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec | extra}
        client.create(manifest)
        made.append(name)
        return name

    yield make
    client.remove_managed({"lab/test": "kubelet"})
    assert eventually(lambda: not processes())


def phase(client, name):
    return client.pod(name).phase


def status(client, name):
    read = client.read({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}})
    return read["status"]


def containers(client, name):
    return status(client, name).get("containerStatuses", [])


def ended(client, name):
    assert eventually(lambda: phase(client, name) in ("Succeeded", "Failed"))
    return status(client, name)["containerStatuses"][0]["state"]["terminated"]


def test_a_pod_runs_and_its_exit_code_is_its_end(client, make):
    assert ended(client, make("exit 0"))["exitCode"] == 0
    bad = make("exit 3")
    assert ended(client, bad)["exitCode"] == 3
    assert phase(client, bad) == "Failed"


def test_a_pod_has_its_environment_and_its_log(client, make):
    name = make(
        'echo "$GREETING from $NODE"; echo two >&2; printf three',
        env=[
            {"name": "WHO", "value": "world"},
            {"name": "GREETING", "value": "hello $(WHO) $(NOBODY) $$(WHO)"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
    )
    ended(client, name)
    pod = client.pod(name)
    log = eventually(lambda: client.logs(pod))
    assert log == f"hello world $(NOBODY) $(WHO) from {pod.node}\ntwo\nthree\n"


def test_no_secret_of_the_control_plane_reaches_a_pod(client, make, monkeypatch):
    name = make("env")
    ended(client, name)
    names = {line.split("=")[0] for line in eventually(lambda: client.logs(client.pod(name))).splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "HOSTNAME", "LAB_CLUSTER", UID, "PWD", "SHLVL", "_", "OLDPWD"}


def test_deletion_sends_term_waits_and_kills(client, make, tmp_path):
    polite = make(
        f"trap 'echo term >> {tmp_path}/polite; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    )
    deaf = make(f"trap 'echo term >> {tmp_path}/deaf' TERM; echo up; while :; do sleep 0.05; done", grace=1)
    for name in (polite, deaf):
        assert eventually(
            lambda name=name: phase(client, name) == "Running" and "up" in client.logs(client.pod(name))
        )
        client.delete_pod(client.pod(name))
    wait_until(client, lambda listing: not {polite, deaf} & {pod.name for pod in listing.pods})
    assert (tmp_path / "polite").read_text() == "term\n"
    assert (tmp_path / "deaf").read_text() == "term\n"
    assert eventually(lambda: not processes())


@pytest.mark.parametrize(
    ("policy", "script", "restarts"),
    [("OnFailure", 'test -e "$HOME/again" || { touch "$HOME/again"; exit 1; }', 1), ("Never", "exit 1", 0)],
)
def test_restart_policies(client, make, policy, script, restarts):
    name = make(script, policy=policy)
    ended(client, name)
    assert status(client, name)["containerStatuses"][0]["restartCount"] == restarts
    assert phase(client, name) == ("Succeeded" if policy == "OnFailure" else "Failed")


def test_always_is_always(client, make):
    name = make("exit 0", policy="Always")
    assert eventually(lambda: any(each["restartCount"] >= 2 for each in containers(client, name)))
    assert phase(client, name) == "Running"


def test_what_a_pod_started_ends_with_it(client, make):
    name = make("setsid sleep 600 & setsid setsid sleep 600 & sleep 0.3; exit 0")
    ended(client, name)
    assert eventually(lambda: not processes())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ["/no/such/program"]}, "/no/such/program can't be started"),
        ({"annotations": {"lab/run": "container"}}, 'there is "process" only'),
        ({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]}, "secretKeyRef"),
    ],
)
def test_a_pod_that_cannot_run_says_why(client, make, fields, words):
    name = make("true", **fields)
    assert eventually(lambda: phase(client, name) == "Failed")
    assert words in str(status(client, name))


def test_a_pod_over_its_deadline_is_ended(client, make):
    name = make("exec sleep 60", activeDeadlineSeconds=1)
    assert ended(client, name)["exitCode"] == 128 + signal.SIGTERM
    assert status(client, name)["reason"] == "DeadlineExceeded"
    assert not processes(client.pod(name).uid)


def test_a_pod_that_never_stops_printing_leaves_the_others_their_turn(client, make):
    make("exec yes")
    make("exec tr '\\0' x < /dev/zero")  # one line without an end
    assert ended(client, make("exit 0"))["exitCode"] == 0


def test_init_containers_go_first(client, make):
    name = make(
        'cat "$HOME/made"',
        initContainers=[
            {"name": "first", "image": "process", "command": ["sh", "-c", 'echo one > "$HOME/made"']},
            {"name": "second", "image": "process", "command": ["sh", "-c", 'echo two >> "$HOME/made"']},
        ],
    )
    assert ended(client, name)["exitCode"] == 0
    assert eventually(lambda: client.logs(client.pod(name), "main")) == "one\ntwo\n"


def test_kwok_plays_the_other_pods(client, make):
    from lablib.cluster.convert import pod_manifest
    from lablib.scheduling.model import Pod

    client.create(pod_manifest(Pod("played", labels={"lab/test": "kubelet"})))
    assert eventually(lambda: phase(client, "played") == "Running")
    assert not processes(client.pod("played").uid)


def test_two_hundred_run_and_half_are_evicted(client, make, tmp_path):
    """Every pod notes its start and, when it gets one, its SIGTERM."""
    script = (
        f"echo $POD >> {tmp_path}/started; trap 'echo $POD >> {tmp_path}/term; exit 0' TERM; "
        f"while [ ! -e {tmp_path}/finish ]; do sleep 0.2; done; echo $POD >> {tmp_path}/done"
    )
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    names = [make(script, name=f"many-{number:03d}", env=env) for number in range(200)]
    wait_until(
        client,
        lambda listing: sum(pod.phase == "Running" for pod in listing.pods if pod.name in names) == 200,
        timeout_seconds=180,
        what="200 pods to run",
    )
    assert eventually(lambda: sorted((tmp_path / "started").read_text().split()) == names)
    evicted = names[::2]
    for name in evicted:
        client.evict(client.pod(name))
    wait_until(
        client,
        lambda listing: not set(evicted) & {pod.name for pod in listing.pods},
        timeout_seconds=120,
        what="100 evicted pods to go",
    )
    assert sorted((tmp_path / "term").read_text().split()) == evicted
    (tmp_path / "finish").touch()
    wait_until(
        client,
        lambda listing: sum(pod.phase == "Succeeded" for pod in listing.pods if pod.name in names) == 100,
        timeout_seconds=120,
        what="100 pods to end",
    )
    assert sorted((tmp_path / "done").read_text().split()) == names[1::2]
    assert eventually(lambda: not processes())


def test_pods_outlive_the_api_server(cluster, client, make):
    name = make("while :; do sleep 0.1; done")
    assert eventually(lambda: phase(client, name) == "Running")
    before = {process.pid for process in processes()}
    os.kill(read_processes(cluster.folder)["kube-apiserver"].pid, signal.SIGKILL)
    cluster.up()
    assert phase(client, name) == "Running"
    assert {process.pid for process in processes()} & before
    client.delete_pod(client.pod(name), grace_seconds=0)
    assert eventually(lambda: not processes())


def test_a_killed_kubelet_takes_its_pods_along_and_a_new_one_starts_them_again(cluster, client, make):
    name = make(f"{sys.executable} -c 'import time; time.sleep(600)'", policy="OnFailure")
    once = make("setsid sleep 600", policy="Never")
    assert eventually(lambda: phase(client, name) == phase(client, once) == "Running")
    os.kill(read_processes(cluster.folder)["kubelet"].pid, signal.SIGKILL)
    assert eventually(lambda: not processes())

    cluster.up()

    assert eventually(lambda: processes(client.pod(name).uid))
    assert ended(client, once)["message"] == "the kubelet was restarted"
