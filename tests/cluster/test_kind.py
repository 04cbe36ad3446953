"""kind's own parser reads our configs. No container engine is needed: a stand-in for docker stops kind there.

kind validates a config before it touches anything; with a good one it goes on to its image, with a bad one it
says what is wrong.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lablib.cluster.kind import CONFIGS, KindCluster, check_tools
from lablib.errors import SetupError
from lablib.settings import Settings

HERE = Path(__file__).parent / "kind"
PAST_VALIDATION = "Ensuring node image"


@pytest.fixture(scope="module")
def kind():
    """kind, built from its pinned Go module into the per-user cache."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain on this machine")
    target = Settings().cache_dir / "tests" / "kind-0.33.0"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [go, "build", "-o", str(target), "sigs.k8s.io/kind"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode and "dial tcp" in done.stderr:
            pytest.skip("the module proxy can't be reached")
        assert done.returncode == 0, done.stderr
    return target


def create(kind, config, tmp_path):
    shutil.copy(HERE / "docker", tmp_path / "docker")
    (tmp_path / "docker").chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KIND_EXPERIMENTAL_PROVIDER": "docker",
        "FAKE_DOCKER_LOG": str(tmp_path / "log"),
    }
    command = [str(kind), "create", "cluster", "--name", "x", "--config", str(config)]
    command += ["--kubeconfig", str(tmp_path / "kubeconfig")]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("name", ["mock", "gpu"])
def test_kind_reads_our_configs(kind, tmp_path, name):
    assert PAST_VALIDATION in create(kind, CONFIGS / f"{name}.yaml", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("role: worker", "role: wrker", "not a valid node role"),
        ("nodes:", "noodles:", "field noodles not found"),
        ("v1alpha4", "v9", "unknown apiVersion"),
    ],
)
def test_kind_refuses_a_bad_one(kind, tmp_path, old, new, words):
    bad = tmp_path / "bad.yaml"
    bad.write_text((CONFIGS / "mock.yaml").read_text().replace(old, new))
    said = create(kind, bad, tmp_path)
    assert words in said
    assert PAST_VALIDATION not in said


def test_a_missing_tool_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="kind is not installed"):
        KindCluster().up()
    for name in ("kind", "kubectl", "helm", "git"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(SetupError, match="no container engine"):
        check_tools()


@pytest.mark.parametrize("script", ["mock.sh", "gpu.sh"])
def test_the_scripts_are_shell(script):
    assert subprocess.run(["bash", "-n", CONFIGS / script], check=False).returncode == 0
