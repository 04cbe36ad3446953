"""The embedded control plane, run for real: what dies is named and mended, and nothing is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from lablib.cluster import embedded as module
from lablib.cluster.convert import pod_manifest
from lablib.cluster.embedded import EmbeddedCluster
from lablib.cluster.kubernetes import KubernetesCluster
from lablib.cluster.pools import NodePool
from lablib.cluster.record import free_ports, processes, read_record
from lablib.errors import ClusterError, Conflict, Forbidden, LabError, NotFound
from lablib.scheduling.model import RUNNING, Pod
from tests.waiting import eventually

SMALL = (NodePool("H100", nodes=2),)
ADMIN_ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "cluster-admin"},
}
COMPONENTS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")


def health(cluster, name):
    return next(each for each in cluster.status().components if each.name == name)


@pytest.fixture(scope="module")
def kept(state_folder):
    """A cluster as `lablib cluster up` makes it, with a pod that runs."""
    cluster = EmbeddedCluster(f"kept-{uuid.uuid4().hex[:6]}", SMALL, keep=True).up()
    with cluster.client() as client:
        client.create(pod_manifest(Pod("here-before", cpu_milli=100)))
    yield cluster
    cluster.down()


@pytest.mark.parametrize("name", COMPONENTS)
def test_status_names_a_killed_component_and_up_mends_it(kept, name):
    before = health(kept, name)
    os.kill(before.pid, signal.SIGKILL)
    assert eventually(lambda: health(kept, name).detail == "killed by signal 9")
    assert health(kept, name).state == "ended"
    assert not kept.status().well

    kept.up()

    assert kept.status().well
    assert health(kept, name).pid != before.pid
    assert kept.status().nodes_ready == 2
    with kept.client() as client:
        assert eventually(lambda: client.pod("here-before").phase == RUNNING)


def test_a_component_that_hangs_is_unhealthy_and_is_replaced(kept):
    before = health(kept, "kube-scheduler")
    os.kill(before.pid, signal.SIGSTOP)
    assert health(kept, "kube-scheduler").state == "unhealthy"

    kept.up()

    assert health(kept, "kube-scheduler").state == "running"
    assert health(kept, "kube-scheduler").pid != before.pid


def test_a_killed_supervisor_takes_all_along_and_up_brings_the_objects_back(kept):
    os.kill(read_record(kept.folder).supervisor.pid, signal.SIGKILL)
    assert eventually(lambda: not list(processes(kept.folder)))
    assert eventually(lambda: {each.state for each in kept.status().components} == {"ended"})

    kept.up()

    assert kept.status().well
    with kept.client() as client:
        assert eventually(lambda: client.pod("here-before").phase == RUNNING)


def test_up_attaches_to_the_cluster_that_runs(kept):
    pids = [each.pid for each in kept.status().components]
    EmbeddedCluster(kept.name, SMALL).up()
    assert [each.pid for each in kept.status().components] == pids


def test_other_settings_are_refused(kept):
    with pytest.raises(Conflict, match="2 x H100"):
        EmbeddedCluster(kept.name, [NodePool("T4", nodes=1)]).up()
    assert kept.status().well


def test_everything_listens_on_loopback_alone(kept):
    addresses = {
        connection.laddr.ip
        for process in processes(kept.folder)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_secrets_are_readable_by_their_owner_alone(kept):
    files = [kept.kubeconfig, *(kept.folder / "pki").iterdir(), *(kept.folder / "kubeconfigs").iterdir()]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    assert kept.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("component", ["kube-scheduler", "kwok", "kubelet"])
def test_a_component_may_do_its_own_work_and_no_more(kept, component):
    with KubernetesCluster(kept.folder / "kubeconfigs" / component) as client:
        assert [node.name for node in client.nodes()] == ["h100-000", "h100-001"]
        with pytest.raises(Forbidden):
            client.create(pod_manifest(Pod("not-mine")))
        with pytest.raises(Forbidden):
            client.read(ADMIN_ROLE)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("listener", ["etcd", "etcd-peer"])
def test_etcd_takes_no_client_but_the_api_server(kept, listener, scheme):
    port = read_record(kept.folder).ports[listener]
    url = f"{scheme}://127.0.0.1:{port}/version"
    done = subprocess.run(["curl", "-skf", url], capture_output=True, check=False)
    assert done.returncode != 0


OWNER = """
import sys, time
from lablib.cluster.embedded import EmbeddedCluster
cluster = EmbeddedCluster(sys.argv[1], ())
cluster.up()
del cluster
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_cluster_ends_with_its_owner_however_that_dies(state_folder, number):
    name = f"owned-{uuid.uuid4().hex[:6]}"
    folder = EmbeddedCluster(name).folder
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        assert owner.stdout.readline() == b"up\n"
        assert len(list(processes(folder))) == 1 + len(COMPONENTS)
        owner.send_signal(number)
        owner.wait()
    assert eventually(lambda: not list(processes(folder)) and not folder.exists())


def test_ctrl_c_while_it_starts_leaves_nothing(state_folder):
    name = f"broken-off-{uuid.uuid4().hex[:6]}"
    folder = EmbeddedCluster(name).folder
    with subprocess.Popen(
        [sys.executable, "-m", "lablib", "cluster", "up", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as starting:
        assert eventually(lambda: len(list(processes(folder))) >= 2)
        starting.send_signal(signal.SIGINT)
        assert starting.wait() == 130
    assert not list(processes(folder))
    assert not folder.exists()


def test_two_that_start_the_same_cluster_at_once_share_it(state_folder):
    name = f"twice-{uuid.uuid4().hex[:6]}"
    command = [sys.executable, "-m", "lablib", "cluster", "up", "--name", name, "--nodes", "1"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    try:
        assert [each.wait() for each in both] == [0, 0]
        assert len(list(processes(EmbeddedCluster(name).folder))) == 1 + len(COMPONENTS)
    finally:
        assert EmbeddedCluster(name).down()


def test_two_clusters_at_once_know_nothing_of_each_other(kept):
    with EmbeddedCluster(f"other-{uuid.uuid4().hex[:6]}", ()) as other, other.client() as client:
        assert client.nodes() == ()
        with pytest.raises(NotFound):
            client.pod("here-before")
    assert kept.status().well


def test_a_taken_port_is_replaced(state_folder, monkeypatch):
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        taken = [rival.getsockname()[1]]

        def choose(preferred):
            return free_ports(preferred) | ({"kube-apiserver": taken.pop()} if taken else {})

        monkeypatch.setattr(module, "free_ports", choose)
        with EmbeddedCluster(f"port-{uuid.uuid4().hex[:6]}", ()) as cluster:
            assert cluster.status().well
            assert read_record(cluster.folder).ports["kube-apiserver"] != rival.getsockname()[1]


def test_a_component_that_cannot_start_is_named_with_its_log(state_folder):
    cluster = EmbeddedCluster("no-such-gate", (), feature_gates="NoSuchGate=true")
    with pytest.raises(ClusterError, match="kube-apiserver did not start") as caught:
        cluster.up()
    assert "NoSuchGate" in caught.value.what
    assert not cluster.folder.exists()
    assert not list(processes(cluster.folder))


def test_a_damaged_record_is_said_and_down_removes_it(state_folder):
    cluster = EmbeddedCluster("damaged", ())
    cluster.folder.mkdir(parents=True)
    (cluster.folder / "cluster.json").write_text('{"ports": ')
    with pytest.raises(ClusterError, match="damaged") as caught:
        cluster.up()
    assert "lablib cluster down --name damaged" in caught.value.remedy
    assert cluster.down()
    assert not cluster.folder.exists()
    assert not cluster.down()


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "..", "-a", "a" * 33, "ä"])
def test_a_bad_name_is_refused(name):
    with pytest.raises(LabError, match="no name of a cluster"):
        EmbeddedCluster(name)


def test_the_command_line_shows_a_cluster_and_its_absence(kept, capfd):
    def lablib(*arguments):
        command = [sys.executable, "-m", "lablib", "cluster", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    status = lablib("status", "--name", kept.name, "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["nodes_ready"] == 2
    assert Path(lablib("kubeconfig", "--name", kept.name).stdout.strip()) == kept.kubeconfig
    absent = lablib("kubeconfig", "--name", "nowhere")
    assert absent.returncode == 1
    assert "lablib cluster up --name nowhere" in absent.stderr
    assert lablib("status", "--name", "nowhere").returncode == 1
    assert lablib("down", "--name", "nowhere").returncode == 0
    assert lablib("status", "--name", "Not A Name").returncode == 1
