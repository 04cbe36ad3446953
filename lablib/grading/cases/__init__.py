"""The exercises of each lab: cases, known mistakes and hints. One module a topic; EXERCISES is its list."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from lablib.errors import GradingError
from lablib.grading.checks import Exercise


def exercises(lab: str) -> dict[str, Exercise]:
    """The exercises of a lab such as "01-gpus", by number.

    Raises:
        GradingError: there is no such lab.
    """
    topic = lab.partition("-")[2].replace("-", "_")
    if not (Path(__file__).parent / f"{topic}.py").exists():
        raise GradingError(f"There is no lab {lab}", remedy="See `lablib lab list`")
    module = import_module(f"{__name__}.{topic}")
    return {exercise.number: exercise for exercise in module.EXERCISES}
