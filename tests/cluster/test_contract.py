"""Every promise of client.py, kept by the cluster in memory and by real API servers alike.

`embedded` is the session's own control plane; LAB_KUBECONFIG names any other, whose pods something
must play the kubelet for (KWOK does). Each test works in a namespace of its own and removes it.
"""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from lablib.cluster.client import MANAGED, Cluster, Event, Listing, Manifest
from lablib.cluster.convert import COUNT, GPU, MEMORY, PRODUCT, SHARED_GPU, node_manifest, pod_manifest
from lablib.cluster.kubernetes import KubernetesCluster
from lablib.cluster.memory import MemoryCluster
from lablib.cluster.wait import wait_until
from lablib.errors import Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from lablib.gpu.device import Gpu, Node
from lablib.scheduling.model import RUNNING, Pod

TEST = "lab/test"
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Ground:
    """A cluster, and a part of it that is the test's own."""

    cluster: Cluster
    namespace: str

    @property
    def node(self) -> str:
        return f"{self.namespace}-node"

    def pod(self, name: str, **fields) -> Pod:
        """Create a pod that no scheduler looks at, and return it as the cluster has it."""
        manifest = self.manifest(name, **fields)
        self.cluster.create(manifest)
        return self.cluster.pod(name, self.namespace)

    def manifest(self, name: str, **fields) -> Manifest:
        fields = {"cpu_milli": 100, "labels": {TEST: self.namespace}, "scheduler_name": "nobody"} | fields
        return pod_manifest(Pod(name, self.namespace, **fields))

    def object(self, kind: str, name: str, version: str = "v1", **fields) -> Manifest:
        metadata = {"name": name, "namespace": self.namespace, "labels": {TEST: self.namespace}}
        return {"apiVersion": version, "kind": kind, "metadata": metadata} | fields

    def running(self, name: str, **fields) -> Pod:
        """A pod that runs on the test's node."""
        self.cluster.bind(self.pod(name, **fields), self.node)
        found = self.until(lambda listing: self.phase(listing, name) == RUNNING, f"{name} to run")
        return next(pod for pod in found.pods if pod.name == name and pod.namespace == self.namespace)

    def phase(self, listing: Listing, name: str) -> str | None:
        phases = {pod.name: pod.phase for pod in listing.pods if pod.namespace == self.namespace}
        return phases.get(name)

    def until(self, predicate, what: str) -> Listing:
        return wait_until(self.cluster, predicate, timeout_seconds=PATIENCE_SECONDS, what=what)

    def changes(self, version: str, count: int) -> list:
        """The next `count` changes of the test's own pods."""
        found = []
        for event in self.cluster.watch(version, PATIENCE_SECONDS):
            if event.pod.namespace == self.namespace:
                found.append(event)
            if len(found) == count:
                break
        return found


def eventually(question, *, despite: type[Exception]):
    """The answer, once it is no longer `despite`: controllers need a moment."""
    retrying = Retrying(
        retry=retry_if_exception_type(despite),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(0.02),
        reraise=True,
    )
    return retrying(question)


EXISTING = ["existing"] if "LAB_KUBECONFIG" in os.environ else []


@pytest.fixture(params=["memory", "embedded", *EXISTING])
def cluster(request):
    if request.param == "memory":
        memory = MemoryCluster()
        yield memory
        memory.check_invariants()
        return
    with KubernetesCluster(kubeconfig_of(request)) as real:
        yield real


def kubeconfig_of(request) -> Path:
    if request.param == "embedded":
        return Path(request.getfixturevalue("embedded").kubeconfig)
    return Path(os.environ["LAB_KUBECONFIG"])


@pytest.fixture
def ground(cluster):
    name = f"contract-{uuid.uuid4().hex[:8]}"
    ground = Ground(cluster, name)
    labels = {TEST: name, PRODUCT: "NVIDIA-A100-SXM4-80GB", COUNT: "4", MEMORY: "81920"}
    gpus = tuple(Gpu(index, "A100-80", 81920) for index in range(4))
    node = node_manifest(Node(ground.node, 64000, 262144, gpus, labels, {GPU: 4, SHARED_GPU: 4000}))
    node["metadata"]["annotations"]["kwok.x-k8s.io/node"] = "fake"
    try:
        cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {TEST: name}}}
        )
        cluster.create(node)
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name},
        }
        eventually(lambda: cluster.read(account), despite=NotFound)
        yield ground
    finally:
        cluster.remove_managed({TEST: name}, PATIENCE_SECONDS)


# Create, read, delete


def test_create_twice_is_a_conflict(ground):
    ground.pod("a")
    with pytest.raises(Conflict):
        ground.pod("a")


def test_created_objects_carry_the_label(ground):
    pod = ground.pod("a")
    assert pod.labels[MANAGED] == "true"
    assert pod.labels[TEST] == ground.namespace


def test_a_pod_keeps_what_it_asks(ground):
    asked = Pod(
        "asks",
        ground.namespace,
        labels={TEST: ground.namespace},
        annotations={"lab/duration": "30s"},
        cpu_milli=1500,
        memory_mib=2048,
        resources={GPU: 2},
        gpu_models=frozenset({"A100-80", "L40S", "B300"}),
        scheduler_name="nobody",
    )
    ground.cluster.create(pod_manifest(asked))
    kept = ground.cluster.pod("asks", ground.namespace)
    for field in ("cpu_milli", "memory_mib", "resources", "gpu_models", "annotations", "scheduler_name"):
        assert getattr(kept, field) == getattr(asked, field), field
    assert kept.uid
    assert (kept.node, kept.phase, kept.deleting) == (None, "Pending", False)


def test_a_new_pod_has_no_status_whatever_its_manifest_says(ground):
    manifest = ground.manifest("a", phase="Running", reason="so I say")
    ground.cluster.create(manifest)
    pod = ground.cluster.pod("a", ground.namespace)
    assert (pod.phase, pod.reason) == ("Pending", "")


@pytest.mark.parametrize("name", ["Upper", "-dash", "a_b", "a" * 254])
def test_a_bad_name_is_invalid(ground, name):
    with pytest.raises(Invalid):
        ground.cluster.create(ground.manifest(name))


def test_a_pod_without_containers_is_invalid(ground):
    with pytest.raises(Invalid):
        ground.cluster.create(ground.object("Pod", "a", spec={"containers": []}))


def test_a_bad_label_is_invalid(ground):
    with pytest.raises(Invalid):
        ground.pod("a", labels={"key": "no spaces"})


def test_a_namespace_that_is_not_there(ground):
    with pytest.raises(NotFound):
        ground.cluster.create(pod_manifest(Pod("a", f"{ground.namespace}-not")))


def test_read_gives_the_object_until_it_is_deleted(ground):
    settings = ground.object("ConfigMap", "settings", data={"a": "1"})
    ground.cluster.create(settings)
    assert ground.cluster.read(settings)["data"] == {"a": "1"}
    ground.cluster.delete(settings)
    for ask in (ground.cluster.read, ground.cluster.delete):
        with pytest.raises(NotFound):
            ask(settings)


def test_what_an_object_owns_goes_with_it(ground):
    owner, owned = ground.object("ConfigMap", "owner"), dict(ground.object("ConfigMap", "owned"))
    ground.cluster.create(owner)
    uid = ground.cluster.read(owner)["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    owned["metadata"] = owned["metadata"] | {"ownerReferences": [reference]}
    ground.cluster.create(owned)
    ground.cluster.delete(owner)
    with pytest.raises(NotFound):
        eventually(lambda: still_there(ground.cluster, owned), despite=AssertionError)


def still_there(cluster, manifest):
    cluster.read(manifest)
    raise AssertionError("still there")


def test_remove_managed_takes_only_what_carries_the_labels(ground):
    mine = {TEST: ground.namespace, "lab/part": "mine"}
    ground.pod("mine", labels=mine)
    ground.cluster.bind(ground.pod("mine-bound", labels=mine), ground.node)
    ground.pod("other")
    ground.cluster.create(ground.object("ConfigMap", "other"))
    assert ground.cluster.remove_managed({"lab/part": "mine"}, PATIENCE_SECONDS) == 2
    assert [pod.name for pod in ground.cluster.pods(ground.namespace)] == ["other"]
    ground.cluster.read(ground.object("ConfigMap", "other"))
    assert ground.node in {node.name for node in ground.cluster.nodes()}


# List and watch


def test_pods_by_namespace_and_labels_in_order(ground):
    for name, colour in (("b", "red"), ("a", "red"), ("c", "blue")):
        ground.pod(name, labels={TEST: ground.namespace, "colour": colour})
    names = [pod.name for pod in ground.cluster.pods(ground.namespace)]
    red = [pod.name for pod in ground.cluster.pods(ground.namespace, {"colour": "red"})]
    everywhere = [pod.name for pod in ground.cluster.pods(labels={TEST: ground.namespace, "colour": "blue"})]
    assert (names, red, everywhere) == (["a", "b", "c"], ["a", "b"], ["c"])


def test_a_pod_that_is_not_there(ground):
    with pytest.raises(NotFound):
        ground.cluster.pod("nobody", ground.namespace)


def test_a_listing_is_what_nodes_and_pods_say(ground):
    ground.pod("a")
    listing = ground.cluster.list()
    assert ground.node in [node.name for node in listing.nodes]
    assert [pod.name for pod in listing.pods if pod.namespace == ground.namespace] == ["a"]
    assert list(listing.pods) == sorted(listing.pods, key=lambda pod: (pod.namespace, pod.name))


def test_watch_tells_every_change_in_order_and_resumes(ground):
    start = ground.cluster.list()
    for name in ("c", "a", "b"):
        ground.pod(name)
    ground.cluster.delete_pod(ground.cluster.pod("a", ground.namespace))
    told = ground.changes(start.version, 5)
    assert [(event.kind, event.pod.name, event.pod.deleting) for event in told] == [
        ("ADDED", "c", False),
        ("ADDED", "a", False),
        ("ADDED", "b", False),
        ("MODIFIED", "a", True),
        ("DELETED", "a", True),
    ]
    resumed = ground.changes(told[1].version, 3)
    assert resumed == told[2:]


def test_watch_ends_when_the_time_is_up(ground):
    assert list(ground.cluster.watch(ground.cluster.list().version, 0.0)) == []
    quiet = [
        event
        for event in ground.cluster.watch(ground.cluster.list().version, 0.3)
        if event.pod.namespace == ground.namespace
    ]
    assert quiet == []


def test_a_listing_after_the_changes_is_the_next_listing(ground):
    listing = ground.cluster.list()
    pod = ground.pod("a")
    ground.pod("b")
    ground.cluster.delete_pod(pod)
    for event in ground.changes(listing.version, 4):
        listing = listing.after(event)
    mine = [pod for pod in listing.pods if pod.namespace == ground.namespace]
    assert mine == list(ground.cluster.pods(ground.namespace))


# Bind


def test_bind_assigns_and_merges_annotations_at_once(ground):
    pod = ground.pod("a", annotations={"kept": "yes", "changed": "old"})
    start = ground.cluster.list().version
    ground.cluster.bind(pod, ground.node, {"changed": "new", "lab/gpus": "0,1"})
    first = ground.changes(start, 1)[0].pod
    assert first.node == ground.node
    assert {key: first.annotations[key] for key in ("kept", "changed", "lab/gpus")} == {
        "kept": "yes",
        "changed": "new",
        "lab/gpus": "0,1",
    }


def test_bind_twice_is_a_conflict_and_changes_nothing(ground):
    pod = ground.pod("a")
    ground.cluster.bind(pod, ground.node, {"by": "first"})
    with pytest.raises(Conflict):
        ground.cluster.bind(pod, "elsewhere", {"by": "second"})
    now = ground.cluster.pod("a", ground.namespace)
    assert (now.node, now.annotations["by"]) == (ground.node, "first")


def test_bind_a_namesake_is_a_conflict(ground):
    old = ground.pod("a")
    ground.cluster.delete_pod(old)
    ground.pod("a")
    with pytest.raises(Conflict):
        ground.cluster.bind(old, ground.node)
    assert ground.cluster.pod("a", ground.namespace).node is None


def test_bind_a_deleting_pod_is_a_conflict(ground):
    manifest = dict(ground.manifest("a"))
    manifest["metadata"] = manifest["metadata"] | {"finalizers": ["lab/hold"]}
    ground.cluster.create(manifest)
    pod = ground.cluster.pod("a", ground.namespace)
    ground.cluster.delete_pod(pod)
    try:
        assert ground.cluster.pod("a", ground.namespace).deleting
        with pytest.raises(Conflict):
            ground.cluster.bind(pod, ground.node)
    finally:
        release(ground.cluster, pod)


def release(cluster, pod):
    """Take a pod's finalizers away, which is no labs' business."""
    if isinstance(cluster, MemoryCluster):
        cluster._patch(("Pod", pod.namespace, pod.name), {"metadata": {"finalizers": None}})
        cluster.finish(pod)
    else:
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        cluster._transport.patch(path, {"metadata": {"finalizers": None}})


def test_bind_a_pod_that_is_not_there(ground):
    with pytest.raises(NotFound):
        ground.cluster.bind(Pod("nobody", ground.namespace), ground.node)


# Evict and delete


def budget(ground, least: int) -> Manifest:
    """A budget over the test's pods, once the controller has counted them."""
    selector = {"matchLabels": {TEST: ground.namespace}}
    manifest = ground.object(
        "PodDisruptionBudget", "budget", "policy/v1", spec={"minAvailable": least, "selector": selector}
    )
    ground.cluster.create(manifest)
    return manifest


def wait_for_allowed(ground, manifest, allowed: int) -> None:
    def counted():
        status = ground.cluster.read(manifest).get("status", {})
        assert status.get("disruptionsAllowed") == allowed
        assert "currentHealthy" in status

    eventually(counted, despite=AssertionError)


def test_evict_honours_a_budget(ground):
    pods = [ground.running(name) for name in ("a", "b")]
    limit = budget(ground, least=2)
    wait_for_allowed(ground, limit, 0)
    with pytest.raises(TooManyRequests):
        ground.cluster.evict(pods[0])
    assert not ground.cluster.pod("a", ground.namespace).deleting
    ground.running("c")
    wait_for_allowed(ground, limit, 1)
    ground.cluster.evict(pods[0])
    ground.until(lambda listing: ground.phase(listing, "a") is None, "a to go")
    wait_for_allowed(ground, limit, 0)
    with pytest.raises(TooManyRequests):
        ground.cluster.evict(pods[1])


def test_a_waiting_pod_is_evicted_whatever_the_budget(ground):
    wait_for_allowed(ground, budget(ground, least=1), 0)
    ground.cluster.evict(ground.pod("a"))
    assert ground.cluster.pods(ground.namespace) == ()


def test_delete_pod_goes_past_a_budget(ground):
    pod = ground.running("a")
    wait_for_allowed(ground, budget(ground, least=1), 0)
    ground.cluster.delete_pod(pod, grace_seconds=1)
    ground.until(lambda listing: ground.phase(listing, "a") is None, "a to go")


@pytest.mark.parametrize("verb", ["evict", "delete_pod"])
def test_a_pod_that_is_gone_even_if_another_has_its_name(ground, verb):
    old = ground.pod("a")
    ground.cluster.delete_pod(old)
    with pytest.raises(NotFound):
        getattr(ground.cluster, verb)(old)
    ground.pod("a")
    with pytest.raises(NotFound):
        getattr(ground.cluster, verb)(old)
    assert not ground.cluster.pod("a", ground.namespace).deleting


# Quota and priority


def test_a_quota_of_gpus_is_kept(ground):
    quota = ground.object("ResourceQuota", "gpus", spec={"hard": {f"requests.{GPU}": "3"}})
    ground.cluster.create(quota)

    def counted(used: str):
        assert ground.cluster.read(quota).get("status", {}).get("used") == {f"requests.{GPU}": used}

    eventually(lambda: counted("0"), despite=AssertionError)
    first = ground.pod("a", resources={GPU: 2})
    with pytest.raises(Forbidden, match="exceeded quota"):
        ground.pod("b", resources={GPU: 2})
    ground.pod("c", resources={GPU: 1})
    ground.cluster.delete_pod(first)
    eventually(lambda: counted("1"), despite=AssertionError)
    ground.pod("b", resources={GPU: 2})


def test_a_quota_of_cpu_demands_a_request(ground):
    quota = ground.object("ResourceQuota", "cpu", spec={"hard": {"requests.cpu": "1"}})
    ground.cluster.create(quota)

    def counted():
        assert ground.cluster.read(quota).get("status", {}).get("used") == {"requests.cpu": "0"}

    eventually(counted, despite=AssertionError)
    with pytest.raises(Forbidden, match="must specify"):
        ground.pod("a", cpu_milli=0)
    ground.pod("a", cpu_milli=1000)


def test_priority_without_a_class_is_forbidden(ground):
    with pytest.raises(Forbidden):
        ground.pod("a", priority=5)


def test_priority_comes_from_the_class(ground):
    name = f"{ground.namespace}-high"
    metadata = {"name": name, "labels": {TEST: ground.namespace}}
    ground.cluster.create(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata, "value": 7}
    )
    manifest = dict(ground.manifest("a"))
    manifest["spec"] = manifest["spec"] | {"priorityClassName": name}
    eventually(lambda: ground.cluster.create(manifest), despite=Forbidden)  # the plugin's view lags behind
    assert ground.cluster.pod("a", ground.namespace).priority == 7


# Nodes


def node_of(ground) -> Node:
    return next(node for node in ground.cluster.nodes() if node.name == ground.node)


def test_a_node_is_read_as_it_was_made(ground):
    node = node_of(ground)
    assert (node.cpu_milli, node.memory_mib) == (64000, 262144)
    assert node.gpus == tuple(Gpu(index, "A100-80", 81920) for index in range(4))
    assert node.resources == {GPU: 4, SHARED_GPU: 4000}


def test_cordon_and_back(ground):
    ground.cluster.cordon(ground.node)
    assert node_of(ground).unschedulable
    ground.cluster.cordon(ground.node, on=False)
    assert not node_of(ground).unschedulable


def test_labels_are_set_and_removed(ground):
    ground.cluster.label(ground.node, {"lab/rack": "r7", "lab/row": "2"})
    ground.cluster.label(ground.node, {"lab/rack": None, "lab/row": "3", "lab/never": None})
    labels = node_of(ground).labels
    assert (labels.get("lab/rack"), labels["lab/row"]) == (None, "3")
    assert labels[TEST] == ground.namespace


def test_a_bad_node_label_is_invalid(ground):
    with pytest.raises(Invalid):
        ground.cluster.label(ground.node, {"lab/rack": "no spaces"})


def test_gpus_turn_unhealthy_and_heal(ground):
    ground.cluster.mark_unhealthy(ground.node, {1})
    node = node_of(ground)
    assert [gpu.index for gpu in node.gpus if not gpu.healthy] == [1]
    assert node.resources == {GPU: 3, SHARED_GPU: 3000}
    ground.cluster.mark_unhealthy(ground.node, ())
    assert all(gpu.healthy for gpu in node_of(ground).gpus)
    with pytest.raises(Invalid):
        ground.cluster.mark_unhealthy(ground.node, {4})


def test_a_node_that_is_not_there(ground):
    for ask in (
        lambda: ground.cluster.cordon("nowhere"),
        lambda: ground.cluster.label("nowhere", {"a": "b"}),
        lambda: ground.cluster.mark_unhealthy("nowhere", ()),
    ):
        with pytest.raises(NotFound):
            ask()


# Events and logs


def test_events_of_a_pod_and_not_of_its_namesake(ground):
    old = ground.pod("a")
    ground.cluster.create(said_about(ground, old, "first", "2026-01-01T00:00:01Z"))
    ground.cluster.create(said_about(ground, old, "second", "2026-01-01T00:00:02Z"))
    ground.cluster.delete_pod(old)
    new = ground.pod("a")
    told = ground.cluster.events(old)
    assert [event.message for event in told] == ["first", "second"]
    assert told[0] == Event("Testing", "first", warning=True, count=2, last_seconds=1767225601.0)
    assert ground.cluster.events(new) == ()


def said_about(ground, pod: Pod, message: str, when: str) -> Manifest:
    about = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
    said = {"reason": "Testing", "message": message, "type": "Warning", "count": 2, "lastTimestamp": when}
    return ground.object("Event", f"{pod.name}.{message}", involvedObject=about, **said)


def test_logs_of_a_pod_that_waits_or_is_not_there(ground):
    pod = ground.pod("a")
    assert ground.cluster.logs(pod) == ""
    with pytest.raises(Invalid):
        ground.cluster.logs(pod, container="other")
    with pytest.raises(NotFound):
        ground.cluster.logs(Pod("nobody", ground.namespace))
