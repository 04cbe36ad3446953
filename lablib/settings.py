"""Where things are kept and found. Every setting is an environment variable that starts with LAB_."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent
"""The checkout that this lablib runs from: labs/, solutions/ and clusters/ lie in it."""

QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Environment in which nothing that the labs start asks the network for anything."""


class Settings(BaseSettings):
    """One value for each LAB_ variable; read anew at every construction."""

    model_config = SettingsConfigDict(env_prefix="LAB_")

    cache_dir: Path = Field(default_factory=lambda: platformdirs.user_cache_path("lablib"))
    """LAB_CACHE_DIR: the control plane's binaries; can be deleted at any time."""
    state_dir: Path = Field(default_factory=lambda: platformdirs.user_state_path("lablib"))
    """LAB_STATE_DIR: running clusters: certificates, etcd's data, logs."""
    binaries_dir: Path | None = None
    """LAB_BINARIES_DIR: a folder with the control plane's binaries, used as it is."""
    kubeconfig: Path | None = None
    """LAB_KUBECONFIG: an existing cluster for the tests and for --backend existing."""
    trace_dir: Path | None = None
    """LAB_TRACE_DIR: a folder with the openb trace."""


def go_quiet() -> None:
    """Switch off every report that a library would send; what the user set stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
