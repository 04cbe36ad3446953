"""The control plane's five binaries: find them, or get them into the per-user cache. Does I/O.

Sources, in this order: the cache; a folder the user names (LAB_BINARIES_DIR); official releases with
pinned checksums (clusters/embedded/releases.json); a build from the pinned Go modules beside it. The first
that works wins, and `obtain` says in a line each why the ones before it did not.

The cache has one folder for each set of pins. A folder there is complete or absent: it is filled under
another name and renamed. manifest.json in it has each file's size, time and SHA-256, so that a damaged
file is noticed at every start by its size and time, and by its checksum in `lablib doctor`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lablib.cluster import gobuild, releases
from lablib.errors import SetupError
from lablib.locks import exclusive, make_folder
from lablib.process import run
from lablib.settings import REPOSITORY, Settings

NAMES: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
PINS: Final = REPOSITORY / "clusters" / "embedded"
"""The folder with the pins: one Go module for each project, and releases.json."""

Report = Callable[[str], None]
"""Called with a line of progress: what is being tried, or why it did not work."""


@dataclass(frozen=True)
class Binaries:
    """A folder that holds all five."""

    folder: Path
    source: str

    def path(self, name: str) -> Path:
        """Of one binary, a member of NAMES."""
        assert name in NAMES
        return self.folder / name


def key(pins: Path = PINS) -> str:
    """Name of the cache folder: changes with the pins and with the machine's architecture."""
    digest = hashlib.sha256(platform.machine().encode())
    for file in sorted([*pins.glob("*/go.mod"), *pins.glob("*/go.sum")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def find(settings: Settings | None = None) -> Binaries:
    """The binaries that are there already.

    Raises:
        SetupError: there are none, or they are damaged; `make setup` mends both.
    """
    settings = settings or Settings()
    if settings.binaries_dir is not None:
        return named(settings.binaries_dir)
    folder = settings.cache_dir / "bin" / key()
    problem = damage(folder)
    if problem:
        raise SetupError(
            f"The control plane's binaries: {problem}", where=str(folder), remedy="Run: make setup"
        )
    return Binaries(folder, "the cache")


def named(folder: Path) -> Binaries:
    """The binaries in a folder of the user's; used as they are.

    Raises:
        SetupError: one is not there or can't be executed.
    """
    missing = [name for name in NAMES if not os.access(folder / name, os.X_OK)]
    if missing:
        raise SetupError(
            f"LAB_BINARIES_DIR lacks {', '.join(missing)}",
            where=str(folder),
            remedy="Put all five executables there, or unset LAB_BINARIES_DIR",
        )
    return Binaries(folder, "LAB_BINARIES_DIR")


def damage(folder: Path, *, full: bool = False) -> str | None:
    """What is wrong with a cache folder; None when all is well.

    Args:
        folder: the folder.
        full: compare every byte's checksum, which takes about a second; else size and time only.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in NAMES:
            file, entry = folder / name, manifest[name]
            stat = file.stat()
            if not os.access(file, os.X_OK):
                return f"{name} is not executable"
            same = (stat.st_size, stat.st_mtime_ns) == (entry["size"], entry["mtime_ns"])
            if (full or not same) and checksum(file) != entry["sha256"]:
                return f"{name} is damaged: its checksum differs"
    except FileNotFoundError as error:
        return "not there" if not folder.exists() else f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"the manifest can't be read: {error}"
    return None


def checksum(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def obtain(settings: Settings, report: Report, progress: gobuild.Progress) -> Binaries:
    """The binaries, from the first source that has them; one caller at a time gets them.

    Raises:
        SetupError: no source works; with every source's reason.
    """
    if settings.binaries_dir is not None:
        return named(settings.binaries_dir)
    make_folder(settings.cache_dir / "bin", "LAB_CACHE_DIR")
    folder = settings.cache_dir / "bin" / key()
    with exclusive(
        settings.cache_dir / "binaries.lock",
        lambda holder: report(f"waiting for another set-up (process {holder})"),
    ):
        problem = damage(folder)
        if problem is None:
            return Binaries(folder, "the cache")
        report(f"cache: {problem}")
        return Binaries(folder, fill(folder, report, progress))


def fill(folder: Path, report: Report, progress: gobuild.Progress) -> str:
    """Fill the cache folder from the first source that works; returns that source's name.

    Raises:
        SetupError: none works.
    """
    partial = folder.with_suffix(".partial")
    reasons = []
    sources = (("official releases", releases.download), ("a build from the Go modules", gobuild.build))
    for name, get in sources:
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            get(partial, progress)
            prove(partial)
            seal(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except (SetupError, OSError) as error:
            what = error.what if isinstance(error, SetupError) else str(error)
            report(f"{name}: {what}")
            reasons.append(f"{name}: {error}")
            continue
        gobuild.remove_caches(folder.parent.parent)
        return name
    shutil.rmtree(partial, ignore_errors=True)
    raise SetupError(
        "No source of the control plane's binaries works:\n  " + "\n  ".join(reasons),
        remedy="See `lablib doctor`, or put the five binaries into a folder and set LAB_BINARIES_DIR",
    )


def prove(folder: Path) -> None:
    """Start each of the five once.

    Raises:
        SetupError: one is missing, or does not run on this machine.
    """
    for name in NAMES:
        run([folder / name, "--version"])


def seal(folder: Path) -> None:
    """Write the manifest of a folder that holds all five."""
    manifest = {}
    for name in NAMES:
        stat = (folder / name).stat()
        manifest[name] = {
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "sha256": checksum(folder / name),
        }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
