"""One at a time: a lock file that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lablib.errors import SetupError


def make_folder(folder: Path, variable: str) -> None:
    """Create a folder of ours with its parents.

    Args:
        folder: the folder.
        variable: the environment variable with which a user can put it elsewhere.

    Raises:
        SetupError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"A folder can't be written: {error.strerror}",
            where=str(folder),
            remedy=f"Name a folder that you may write: {variable}=/some/where make setup",
        ) from error


@contextmanager
def exclusive(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file at `path`; wait for whoever holds it.

    Args:
        path: the lock file, created when absent and never deleted.
        on_wait: called once, with the holder's process number, if one has to wait.

    Raises:
        SetupError: the file can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SetupError(f"The lock can't be opened: {error.strerror}", where=str(path)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait(os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
