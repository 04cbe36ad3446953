"""Wait for an event, and find processes by a mark in their environment. For tests that run real processes."""

from collections.abc import Callable

import psutil
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

PATIENCE_SECONDS = 60


def eventually(question: Callable[[], object]):
    """Ask until the answer is true; the last answer."""
    retrying = Retrying(
        retry=retry_if_result(lambda answer: not answer),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda state: state.outcome.result(),
    )
    return retrying(question)


def marked(name: str, *values: str) -> list[psutil.Process]:
    """Living processes that carry the variable with one of these values; with any, if none is given."""
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(name)
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            continue
        if value and (value in values or not values) and alive:
            found.append(process)
    return found
