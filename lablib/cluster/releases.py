"""Get the control plane's binaries from the projects' official releases. Does I/O: downloads.

clusters/embedded/releases.json lists, for each architecture, the archives: URL, SHA-512 as the project
published it, and which member is which binary. An archive without a published checksum is never used.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import platform
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from lablib.errors import ChecksumMismatch, SetupError
from lablib.settings import REPOSITORY

PINS: Final = REPOSITORY / "clusters" / "embedded" / "releases.json"
CHUNK_BYTES: Final = 1 << 20
SILENCE_SECONDS: Final = 15.0
"""How long a server may say nothing before the next source is tried."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Archive:
    """One file of a release.

    `members` maps a path in the archive to the name of a binary; {"": name} where the file is the binary.
    """

    url: str
    sha512: str | None
    members: dict[str, str]


def read(pins: Path, machine: str) -> list[Archive]:
    """The archives for one architecture, such as x86_64.

    Raises:
        SetupError: there are none for it, or one has no checksum.
    """
    table: dict[str, Any] = json.loads(pins.read_text())
    archives = [Archive(**entry) for entry in table.get(machine, ())]
    if not archives:
        raise SetupError(f"no releases are listed for {machine}", where=str(pins))
    unpinned = [archive.url for archive in archives if not archive.sha512]
    if unpinned:
        raise SetupError(f"no checksum is pinned for {', '.join(unpinned)}", where=str(pins))
    return archives


def download(target: Path, progress: Progress, pins: Path = PINS) -> None:
    """Download and unpack all binaries into a folder.

    Raises:
        SetupError: not pinned, not reachable, or not what the archive should hold.
        ChecksumMismatch: a file is not the one that was pinned.
    """
    for archive in read(pins, platform.machine()):
        with tempfile.NamedTemporaryFile(dir=target) as file:
            fetch(archive, file, progress)
            unpack(archive, Path(file.name), target)


def fetch(archive: Archive, file: IO[bytes], progress: Progress) -> None:
    """Download one archive into an open file, and compare its checksum.

    Raises:
        SetupError: it can't be downloaded.
        ChecksumMismatch: it is not the one that was pinned.
    """
    digest, received = hashlib.sha512(), 0
    try:
        with urllib.request.urlopen(archive.url, timeout=SILENCE_SECONDS) as answer:  # noqa: S310 - pinned
            size = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                progress("downloading", received / size if size else 0.0)
    except (OSError, http.client.HTTPException) as error:
        raise SetupError(f"can't be downloaded: {error}", where=archive.url) from error
    file.flush()
    if digest.hexdigest() != archive.sha512:
        raise ChecksumMismatch(
            f"the checksum of {received} downloaded bytes differs from the pinned one", where=archive.url
        )


def unpack(archive: Archive, file: Path, target: Path) -> None:
    """Take the binaries out of a downloaded archive.

    Raises:
        SetupError: the archive lacks one of them.
    """
    if "" in archive.members:
        shutil.copyfile(file, target / archive.members[""])
        (target / archive.members[""]).chmod(0o755)
        return
    try:
        with tarfile.open(file) as tar:
            for member, name in archive.members.items():
                source = tar.extractfile(member)
                if source is None:
                    raise SetupError(f"{member} is no file", where=archive.url)
                with (target / name).open("wb") as out:
                    shutil.copyfileobj(source, out)
                (target / name).chmod(0o755)
    except (KeyError, tarfile.TarError) as error:
        raise SetupError(f"the archive is not as expected: {error}", where=archive.url) from error
