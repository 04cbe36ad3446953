"""What learners hand in, in whatever state and under whatever name."""

import datetime as dt
import io
import json
import os
import zipfile
from pathlib import Path

import nbformat
import pytest

from lablib.errors import GradingError
from lablib.grading.submissions import Unread, clean, collect, find, read, student_of

FUNCTIONS = {"00-platform": frozenset({"count"}), "01-gpus": frozenset({"can_run", "gpu_demand"})}


def notebook(source: str = 'open_lab("01-gpus")') -> str:
    make = nbformat.v4
    return nbformat.writes(make.new_notebook(cells=[make.new_code_cell(source)]))


def put(path: Path, content: str | bytes = "", when: int = 1_000_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (when, when))
    return path


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ann/01-gpus/01-gpus.ipynb", "ann"),
        ("ann/01-gpus.ipynb", "ann"),
        ("ann/whatever.ipynb", "ann"),
        ("week 3/Åsa Öberg/01-gpus.ipynb", "Åsa Öberg"),
        ("Ann Smith_1234567_assignsubmission_file_/01-gpus.ipynb", "Ann Smith"),
        ("Ann Smith_1234567_assignsubmission_file/sub/01-gpus.ipynb", "Ann Smith"),
        ("smithann_12345_67890_01-gpus.ipynb", "smithann"),
        ("smithann_LATE_12345_67890_01-gpus-2.ipynb", "smithann"),
        ("01-gpus_ann.ipynb", "ann"),
        ("ann 01-gpus (2).ipynb", "ann"),
        ("ann.ipynb", "ann"),
        ("李雷.ipynb", "李雷"),
        ("01-gpus.ipynb", ""),
        ("01-gpus/01-gpus.ipynb", ""),
    ],
)
def test_the_learner_is_named_by_the_path(path: str, student: str):
    assert student_of(tuple(path.split("/")), FUNCTIONS) == student


@pytest.mark.parametrize(
    ("name", "kept"), [("../../etc", "etc"), ("=1+1", "1 1"), ("a\x00b", "a b"), ("..", "")]
)
def test_a_name_is_never_a_path_or_a_formula(name: str, kept: str):
    assert clean(name) == kept


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (notebook().encode()[:-20], "cut off"),
        (b"hello}", "no notebook"),
        (b"[1, 2]", "no cells"),
        (b"{}", "no cells"),
        (b'{"cells": 3, "nbformat": 4}', "damaged"),
        (
            b'{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
            "damaged",
        ),
        (b"[" * 100_000, "no notebook"),
        (b"PK\x03\x04 not text", "no notebook"),
    ],
)
def test_what_is_no_notebook_is_said(data: bytes, why: str):
    with pytest.raises(GradingError, match=why):
        read(data)


def test_a_windows_editor_changes_nothing():
    text = notebook("x = 1\ny = 2")
    found, notes = read(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert found.cells[0].source == "x = 1\ny = 2"
    assert notes == ("it began with a byte order mark",)


def test_an_old_format_is_read():
    old = nbformat.writes(nbformat.convert(nbformat.reads(notebook("x = 1"), 4), 3), version=3)
    found, notes = read(old.encode())
    assert found.cells[0].source == "x = 1"
    assert notes == ("it was in format 3",)


def test_outputs_are_not_kept_however_large():
    content = json.loads(notebook())
    content["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 40_000_000}]
    found, _ = read(json.dumps(content).encode())
    assert found.cells[0].outputs == []


def test_the_newest_of_several_uploads_counts(tmp_path: Path):
    put(tmp_path / "ann" / "01-gpus.ipynb", notebook(), 1_000)
    newest = put(tmp_path / "ann" / "01-gpus (1).ipynb", notebook('open_lab("01-gpus")\n2'), 2_000)
    (found,), unread = collect([tmp_path], FUNCTIONS)
    assert found.found.where == str(newest)
    assert found.notes == (f"newer than {tmp_path}/ann/01-gpus.ipynb, which is left aside",)
    assert unread == ()


def test_content_counts_more_than_a_name(tmp_path: Path):
    put(tmp_path / "ann" / "00-platform.ipynb", notebook())
    (found,), _ = collect([tmp_path], FUNCTIONS)
    assert (found.lab, found.notes) == ("01-gpus", ("its name says 00-platform, its content 01-gpus",))


@pytest.mark.parametrize("source", ["open_lab('01-gpus')", "def can_run(a, b):\n    pass"])
def test_a_lab_is_known_by_what_it_does(tmp_path: Path, source: str):
    put(tmp_path / "ann.ipynb", notebook(source))
    (found,), _ = collect([tmp_path], FUNCTIONS)
    assert found.lab == "01-gpus"


def test_a_platforms_zip_is_read_where_it_lies(tmp_path: Path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("Ann Smith_12_assignsubmission_file_/01-gpus.ipynb", notebook())
        archive.writestr("Bo_13_assignsubmission_file_/01-gpus.ipynb", "")
        archive.writestr("__MACOSX/._01-gpus.ipynb", "x")
        archive.writestr("../../evil/01-gpus.ipynb", notebook())
    put(tmp_path / "all.zip", data.getvalue())
    put(tmp_path / "broken.zip", data.getvalue()[:200])
    put(tmp_path / "carla" / "answer.zip", data.getvalue()[:0])
    found, unread = collect([tmp_path], FUNCTIONS)
    assert [each.student for each in found] == ["Ann Smith", "evil"]
    assert [(each.student, each.why.split(":")[0]) for each in unread] == [
        ("Bo", "The file is empty"),
        ("broken", "it is no zip that can be read"),
        ("carla", "it is no zip that can be read"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "broken.zip", "carla"]


def test_a_checkpoint_is_no_submission(tmp_path: Path):
    put(tmp_path / "ann" / ".ipynb_checkpoints" / "01-gpus-checkpoint.ipynb", notebook())
    assert list(find([tmp_path])) == []


def test_what_is_of_no_lab_or_nobodys_is_said(tmp_path: Path):
    put(tmp_path / "ann.ipynb", notebook("x = 1"))
    put(tmp_path / "01-gpus.ipynb", notebook())
    found, unread = collect([tmp_path], FUNCTIONS)
    assert found == ()
    assert [each.why for each in unread] == [
        "nothing in its path names a learner",
        "it is of no lab of this course",
    ]


def test_a_single_file_and_a_path_that_is_not_there(tmp_path: Path):
    file = put(tmp_path / "ann.ipynb", notebook(), 1_700_000_000)
    (found,) = find([file])
    assert not isinstance(found, Unread)
    assert found.modified == dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)
    with pytest.raises(GradingError, match="no such file"):
        list(find([tmp_path / "nowhere"]))
