"""A graded course in nbgrader's formgrader and its feedback, in a real browser."""

import copy
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_server.serverapp import list_running_servers
from playwright.sync_api import expect, sync_playwright

from lablib.grading import batch, feedback
from lablib.grading.assignment import assignments
from lablib.grading.build import text
from lablib.grading.course import Course
from lablib.grading.submissions import collect
from tests.browser.test_lab import BROWSER, FLAGS, SCREENSHOTS

LAB = assignments()["01-gpus"]
PATIENCE_MS = 60_000
MATHJAX = """
window.MathJax = {Hub: {Config() {}, Configured() {}, Queue() {}, Startup: {signal: {Interest() {}}}}};
"""
"""Formgrader loads MathJax from the network, and says so in the console where there is none."""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """Two learners: one has everything right, one has a wrong answer and no paragraph."""
    folder = tmp_path_factory.mktemp("formgrader")
    wrong = copy.deepcopy(LAB.released)
    for cell in wrong.cells:
        if cell.source.startswith("def can_run("):
            cell.source = "def can_run(state, demand):\n    return True"
    for name, notebook in (("ann", LAB.solution), ("bo", wrong)):
        path = folder / "in" / name / "01-gpus.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(text(notebook))
    course = Course(folder / "course")
    course.prepare([LAB])
    found, _ = collect([folder / "in"], {LAB.name: LAB.functions})
    assert len(list(batch.grade(course, {LAB.name: LAB}, found, 2))) == 2
    feedback.write(course, LAB.name)
    return course


@pytest.fixture
def server(course, tmp_path):
    """Address and token of a JupyterLab that runs in the course folder, as docs/instructors.md says."""
    root = ["--allow-root"] if os.geteuid() == 0 else []
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0", *root]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        command,
        cwd=course.folder,
        env={**os.environ, "PATH": path, "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield address_of(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def address_of(pid: int) -> tuple[str, str]:
    for _ in range(600):
        for each in list_running_servers():
            if each["pid"] == pid:
                return each["url"], each["token"]
        time.sleep(0.1)
    raise TimeoutError


@pytest.fixture
def page(server):
    url, token = server
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.route("**/mathjax/**", lambda route: route.fulfill(body=MATHJAX, content_type="text/javascript"))
        page.goto(f"{url}lab?token={token}")  # formgrader hangs when it is opened first
        expect(page.locator("#jp-top-panel")).to_be_visible(timeout=PATIENCE_MS)
        yield page
        browser.close()


def test_formgrader_shows_the_marks_and_what_was_wrong(page, server, course):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.goto(f"{server[0]}formgrader/gradebook/{LAB.name}/{LAB.name}")
    expect(page.get_by_text("Submission #2")).to_be_visible(timeout=PATIENCE_MS)
    rows = {re.sub(r"\s+", " ", row.inner_text()) for row in page.locator("tbody tr").all()}
    assert any("12 / 14" in row for row in rows), rows
    assert any("0 / 14" in row for row in rows), rows
    page.screenshot(path=SCREENSHOTS / "formgrader-marks.png")

    with course.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook(LAB.name, LAB.name, "bo").id
    page.goto(f"{server[0]}formgrader/submissions/{notebook}/?index=0")
    wrong = page.get_by_text("Right on", exact=False).first
    expect(wrong).to_be_visible(timeout=PATIENCE_MS)
    wrong.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "formgrader-submission.png")
    assert errors == []


def test_a_feedback_page_opens_by_itself(page, course):
    page.goto((course.folder / "feedback" / "bo" / LAB.name / f"{LAB.name}.html").as_uri())
    expect(page.get_by_text("Score: 0.0 / 14.0").first).to_be_visible()
    page.get_by_text("Right on", exact=False).first.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "feedback.png")
    assert "HIDDEN TESTS" not in page.content()
