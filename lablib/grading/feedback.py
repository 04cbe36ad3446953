"""Feedback for learners, as nbgrader writes it: their notebook with marks and comments, HTML. Does I/O."""

from __future__ import annotations

from pathlib import Path

from lablib.errors import GradingError
from lablib.grading.course import Course


def write(course: Course, lab: str) -> tuple[Path, ...]:
    """Write the feedback of all submissions of a lab; returns the pages.

    Raises:
        GradingError: nbgrader could not; with what it said.
    """
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    with course.gradebook():  # puts alembic on the path
        pass
    config = Config()
    config.CourseDirectory.root = str(course.folder.resolve())
    config.CourseDirectory.db_url = course.database
    done = NbGraderAPI(config=config).generate_feedback(lab)
    if not done["success"]:
        raise GradingError(
            "nbgrader could not write the feedback",
            where=lab,
            remedy="\n".join(str(done.get("log", "")).splitlines()[-5:]),
        )
    return tuple(sorted((course.folder / "feedback").glob(f"*/{lab}/*.html")))
