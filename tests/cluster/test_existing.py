"""An existing cluster: used as it is, and left with nothing of ours."""

import pytest

from lablib.cluster.backends import open_cluster
from lablib.cluster.existing import ExistingCluster
from lablib.errors import ClusterError, NotFound, Unreachable
from tests.waiting import eventually


@pytest.fixture
def existing(embedded, monkeypatch):
    monkeypatch.setenv("LAB_KUBECONFIG", str(embedded.kubeconfig))
    cluster = open_cluster("ignored")
    assert isinstance(cluster, ExistingCluster)
    return cluster


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def test_down_removes_what_is_ours_and_nothing_else(existing, embedded):
    said = []
    existing.up(said.append)
    assert "nodes" in said[0]
    before = existing.status().nodes
    with existing.client() as client:
        client.create(config_map("ours"))
        client._transport.post("/api/v1/namespaces/default/configmaps", config_map("theirs"))
        # The nodes of this test's cluster are the lab's own: they stay out of its way for a moment.
        names = [node.name for node in client.nodes()]
        for name in names:
            client.label(name, {"lab/managed": None})
        assert existing.down()
        with pytest.raises(NotFound):
            client.read(config_map("ours"))
        assert client.read(config_map("theirs"))
        client.delete(config_map("theirs"))
        # What other tests made may still be on its way out, such as a namespace.
        assert eventually(lambda: not existing.down())
        for name in names:
            client.label(name, {"lab/managed": "true"})
    assert existing.status().nodes == before


def test_a_cluster_that_does_not_answer_is_said(tmp_path):
    config = tmp_path / "config"
    config.write_text(
        "{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: "
        "'https://127.0.0.1:1'}}], users: [{name: x, user: {token: x}}], contexts: [{name: x, context: "
        "{cluster: x, user: x}}]}"
    )
    cluster = ExistingCluster(config)
    with pytest.raises(Unreachable):
        cluster.up()
    assert not cluster.status().well
    with pytest.raises(ClusterError, match="can't be used"):
        ExistingCluster(tmp_path / "nowhere").up()
