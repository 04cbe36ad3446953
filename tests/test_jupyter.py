"""JupyterLab as the labs serve it: it starts, is found again, and ends with whoever started it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid

import pytest

from tests.waiting import eventually, marked

SERVE = """
import sys
from pathlib import Path
from lablib.jupyter import serve
serve(Path(sys.argv[1]), port=0, browser=False)
"""


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "work" / "07-sample" / "07-sample.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    return path


def start(notebook, mark):
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, str(notebook)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LAB_TEST": mark},
    )


def test_it_serves_says_where_and_ends_with_its_owner(notebook):
    mark = uuid.uuid4().hex
    with start(notebook, mark) as owner:
        address = re.search(r"http://127\.0\.0\.1:\S+", owner.stdout.readline())[0]
        base, token = re.match(r"(http://[^/]+)/.*token=(\w+)", address).groups()
        request = urllib.request.Request(f"{base}/api/kernels?token={token}", method="POST", data=b"{}")
        with urllib.request.urlopen(request) as answer:  # a kernel, which has to end too
            assert json.load(answer)["name"] == "python3"

        second = subprocess.run(
            [sys.executable, "-c", SERVE, str(notebook)], capture_output=True, text=True, check=True
        )
        assert "runs already" in second.stdout
        assert token in second.stdout

        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert eventually(lambda: not marked("LAB_TEST", mark))


def test_ctrl_c_ends_it_in_good_order(notebook):
    mark = uuid.uuid4().hex
    with start(notebook, mark) as owner:
        assert "http://127.0.0.1" in owner.stdout.readline()
        owner.send_signal(signal.SIGINT)
        assert owner.wait(30) == 0
        assert "JupyterLab ends" in owner.stdout.read()
    assert eventually(lambda: not marked("LAB_TEST", mark))
