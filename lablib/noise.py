"""Swallow what a library prints while it starts, and show it if that fails. Does I/O: moves stderr aside.

Libraries in C write to the file descriptor, Python ones to sys.stderr and to warnings: all three are caught.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Nothing reaches stderr inside the block; an error gets the end of what was said as a note."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            with contextlib.redirect_stderr(log), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except BaseException as error:
            log.seek(0)
            said = log.read()[-2000:].strip()
            if said:
                error.add_note(f"Before that it said:\n{said}")
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
