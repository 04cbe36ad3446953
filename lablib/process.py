"""Run one program of the set-up to its end, line by line. Starts processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lablib.errors import SetupError


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a program; its whole process group ends with this call, however the call ends.

    Args:
        argv: the program and its arguments.
        cwd: where it runs.
        env: what is added to this process's environment.
        on_line: called with each line that it prints, stdout and stderr together.

    Returns:
        Everything it printed.

    Raises:
        SetupError: it can't be started, or ended with another status than 0; with its last lines.
    """
    command = [str(part) for part in argv]
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        raise SetupError(f"{command[0]} can't be started: {error.strerror}") from error
    assert child.stdout is not None
    lines: deque[str] = deque()
    try:
        for line in child.stdout:
            lines.append(line)
            if on_line:
                on_line(line.rstrip("\n"))
        status = child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        child.stdout.close()
    if status != 0:
        tail = "".join(list(lines)[-12:]).strip()
        raise SetupError(
            f"{Path(command[0]).name} failed with status {status}:\n{tail}", where=" ".join(command)
        )
    return "".join(lines)
