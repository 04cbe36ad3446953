"""Lab 01 in a real browser, served as `make lab` serves it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from lablib.grading import copies
from lablib.grading.build import solution, sources
from tests.browser.jupyter import NotebookPage

BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
BROWSER = next((path for path in BROWSERS if Path(path).exists()), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SCREENSHOTS = Path(os.environ.get("LAB_SCREENSHOTS", "work/screenshots"))

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@pytest.fixture
def address(tmp_path):
    """A JupyterLab on fresh copies of the labs."""
    lab = copies.find("01")
    serve = (
        "import sys; from pathlib import Path; from dataclasses import replace\n"
        "from lablib.grading import copies; from lablib.jupyter import serve\n"
        "lab = replace(copies.find('01'), copy=Path(sys.argv[1]))\n"
        "copies.take(lab); serve(lab.copy, port=0, browser=False)\n"
    )
    command = [sys.executable, "-c", serve, str(tmp_path / lab.name / lab.copy.name)]
    env = {**os.environ, "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            line = server.stdout.readline()
            yield re.search(r"http://\S+", line)[0]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


@pytest.fixture
def notebook(address):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        notebook = NotebookPage(page)
        notebook.open(address)
        yield notebook
        browser.close()


def reference(number):
    """The answer to an exercise of lab 01."""
    source = next(path for path in sources() if path.stem == "01-gpus")
    name = f"exercise-{number.replace('.', '-')}"
    return next(cell.source for cell in solution(source).cells if cell.id == name)


def test_a_wrong_answer_a_right_one_and_the_map(notebook):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    notebook.run("open_lab")
    notebook.run("from lablib.scheduling.model import Demand")
    assert "2.1 is yours to write" in run_check(
        notebook, "def can_run(state, demand):", "check.e2_1(can_run)"
    )

    wrong = (
        "def can_run(state, demand):\n    return sum(state.gpu_milli_free) >= demand.gpus * demand.gpu_milli"
    )
    notebook.write("def can_run(state, demand):", wrong)
    said = run_check(notebook, "def can_run(state, demand):", "check.e2_1(can_run)")
    assert "✗" in said
    notebook.page.screenshot(path=SCREENSHOTS / "wrong.png")

    notebook.write("def can_run(state, demand):", reference("2.1"))
    said = run_check(notebook, "def can_run(state, demand):", "check.e2_1(can_run)")
    assert "✓ 12 of 12 cases." in said
    notebook.page.screenshot(path=SCREENSHOTS / "right.png")

    for text in ("def gpu_demand(pod):", "def fragmentation(state, typical):", "demand_of = check.best"):
        notebook.run(text)
    notebook.run("def allocation_report(assignment, pods, typical):")
    notebook.run("trace = open_trace(")
    notebook.run("with Live() as live:\n    full")
    picture = notebook.cell("full = arrive").locator("svg[role=img]").first
    title = picture.locator("title").first.text_content()
    assert re.search(r"of 307 GPUs allocated, [\d.]+ stranded", title)
    picture.scroll_into_view_if_needed()
    notebook.page.screenshot(path=SCREENSHOTS / "map.png")
    assert notebook.errors == []


def run_check(notebook, function, check):
    notebook.run(function)
    return notebook.run(check)
