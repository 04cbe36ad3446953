"""What the tests share: a state folder of their own, and one embedded cluster for the whole run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lablib.cluster.embedded import EmbeddedCluster
from lablib.cluster.pools import NodePool

POOLS = (NodePool("H100", nodes=4, zones=("zone-a", "zone-b")), NodePool("T4", nodes=2, gpus=4))


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test touches the clusters of whoever runs it."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_STATE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def embedded(state_folder: Path) -> Iterator[EmbeddedCluster]:
    """The run's embedded cluster; whoever uses it takes away what they made."""
    with EmbeddedCluster(f"tests-{os.getpid()}", POOLS) as cluster:
        yield cluster
