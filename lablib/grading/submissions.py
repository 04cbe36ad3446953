"""Find what learners handed in, and read it, whatever state it is in. Reads files, writes none.

    find(paths)            every notebook in folders, zips and zips inside folders, with the learner's name
    read(data)             a notebook's bytes as a notebook, or GradingError with the reason
    choose(found)          one for each learner and lab: the newest

Names are read as learning platforms write them:

    STUDENT/01-gpus/01-gpus.ipynb                                  nbgrader
    First Last_1234567_assignsubmission_file_/01-gpus.ipynb        Moodle
    lastfirst_LATE_12345_67890_01-gpus-2.ipynb                     Canvas
    STUDENT/any name.ipynb, 01-gpus_STUDENT.ipynb, STUDENT.ipynb   by hand
"""

from __future__ import annotations

import datetime as dt
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

import nbformat
from nbformat import NotebookNode

from lablib.errors import GradingError

MOST_BYTES: Final = 256 * 1024**2
"""Of a notebook; a larger one is not read."""
MOODLE: Final = re.compile(r"(?P<student>.+)_\d+_assignsubmission_(file|onlinetext)_?")
CANVAS: Final = re.compile(r"(?P<student>[^_]+)_(LATE_)?\d+_\d+_(?P<file>.+)")
COPY: Final = re.compile(r"( ?\(\d+\)| - [Cc]opy|-\d+|-Copy\d+)+$")
"""What browsers, platforms and JupyterLab add to the name of a second upload."""
SKIPPED: Final = ("__MACOSX", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Found:
    """A notebook as it was handed in."""

    where: str
    """File, or zip and member."""
    parts: tuple[str, ...]
    """Its path inside what was given: folders, then the file's name."""
    data: bytes
    modified: dt.datetime


@dataclass(frozen=True)
class Submission:
    """One learner's notebook for one lab."""

    student: str
    lab: str
    found: Found
    notebook: NotebookNode
    notes: tuple[str, ...] = ()
    """How it was read, where that was not plain."""


@dataclass(frozen=True)
class Unread:
    """What could not be taken as a submission, and why."""

    where: str
    why: str
    student: str = ""


def find(paths: Iterable[Path]) -> Iterator[Found | Unread]:
    """Every notebook in files, folders and zips.

    Raises:
        GradingError: a path does not exist.
    """
    for path in paths:
        if not path.exists():
            raise GradingError("There is no such file or folder", where=str(path), remedy="Look at the path")
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        base = path if path.is_dir() else path.parent
        for file in files:
            parts = file.relative_to(base).parts
            if set(SKIPPED) & set(parts) or not file.is_file():
                continue
            if file.suffix.lower() == ".zip":
                yield from in_zip(file, parts[:-1] if path.is_dir() else ())
            elif file.suffix.lower() == ".ipynb":
                yield in_file(file, parts)


def in_file(file: Path, parts: tuple[str, ...]) -> Found | Unread:
    """A notebook on the disk."""
    try:
        status = file.stat()
        if status.st_size > MOST_BYTES:
            return Unread(str(file), f"it is larger than {MOST_BYTES // 1024**2} MiB", student_of(parts))
        return Found(str(file), parts, file.read_bytes(), dt.datetime.fromtimestamp(status.st_mtime, dt.UTC))
    except OSError as error:
        return Unread(str(file), f"it can't be read: {error.strerror}", student_of(parts))


def in_zip(file: Path, parts: tuple[str, ...]) -> Iterator[Found | Unread]:
    """The notebooks of a zip; nothing is unpacked to the disk."""
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.suffix.lower() != ".ipynb" or set(SKIPPED) & set(path.parts) or path.name[:2] == "._":
                    continue
                yield in_member(archive, member, f"{file}: {path}", (*parts, *path.parts))
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        yield Unread(str(file), f"it is no zip that can be read: {error}", student_of((*parts, file.name)))


def in_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, parts: tuple[str, ...]
) -> Found | Unread:
    """A notebook in a zip."""
    try:
        with archive.open(member) as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            return Unread(where, f"it is larger than {MOST_BYTES // 1024**2} MiB", student_of(parts))
        modified = dt.datetime(*member.date_time, tzinfo=dt.UTC)
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError, NotImplementedError) as error:
        return Unread(where, f"it can't be unpacked: {error}", student_of(parts))
    return Found(where, parts, data, modified)


def student_of(parts: Sequence[str], labs: Iterable[str] = ()) -> str:
    """The learner's name, from where the notebook lies; empty when nothing tells."""
    *folders, name = parts or ("",)
    known = {*labs, *(lab[:2] for lab in labs)}
    stem = COPY.sub("", PurePosixPath(name).stem)
    for folder in folders:
        if match := MOODLE.fullmatch(folder):
            return clean(match["student"])
    if match := CANVAS.fullmatch(stem):
        return clean(match["student"])
    owners = [folder for folder in folders if folder not in known]
    if owners:
        return clean(owners[-1])
    for lab in sorted(known, key=len, reverse=True):
        stem = re.sub(rf"(^|[_\- ]){re.escape(lab)}($|[_\- .])", " ", stem)
    return clean(stem)


def clean(name: str) -> str:
    """A name that can be a folder's: letters of any script, digits, spaces, and - _ . @."""
    kept = re.sub(r"[^\w\-.@ ]+", " ", name)
    return re.sub(r"\s+", " ", kept).strip(" ._-")[:100]


def read(data: bytes) -> tuple[NotebookNode, tuple[str, ...]]:
    """A notebook of any format since 3, without its outputs; and what had to be mended.

    Raises:
        GradingError: it is none; says why.
    """
    if not data.strip():
        raise GradingError("The file is empty")
    notes = []
    text = data.decode("utf-8-sig", "replace")
    if data.startswith(b"\xef\xbb\xbf"):
        notes.append("it began with a byte order mark")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        cut = not text.rstrip().endswith("}")
        raise GradingError(f"It is no notebook: {'it is cut off' if cut else error}") from error
    if not isinstance(content, dict) or not {"cells", "worksheets"} & content.keys():
        raise GradingError("It is JSON and no notebook: it has no cells")
    without_outputs(content)
    if content.get("nbformat") != nbformat.current_nbformat:
        notes.append(f"it was in format {content.get('nbformat')}")
    try:
        notebook = nbformat.reads(json.dumps(content), as_version=nbformat.current_nbformat)
    except Exception as error:  # nbformat raises whatever it meets
        raise GradingError(f"It is a damaged notebook: {error}") from error
    for cell in notebook.cells:
        cell.source = str(cell.source).replace("\r\n", "\n")
    return notebook, tuple(notes)


def without_outputs(content: dict[str, object]) -> None:
    """Take the outputs out: they are made anew, and may be large."""
    sheets = content.get("worksheets")
    groups = sheets if isinstance(sheets, list) else [content]
    for group in groups:
        cells = group.get("cells") if isinstance(group, dict) else None
        for cell in cells if isinstance(cells, list) else []:
            if isinstance(cell, dict) and "outputs" in cell:
                cell["outputs"] = []


def lab_of(notebook: NotebookNode, parts: Sequence[str], functions: Mapping[str, frozenset[str]]) -> str:
    """Which lab a notebook is of: by what it opens, by the functions it defines, by its name. Empty: none.

    Args:
        notebook: what was handed in.
        parts: its path.
        functions: names of each lab's exercises.
    """
    text = "\n".join(cell.source for cell in notebook.cells)
    opened = [lab for lab in functions if f'open_lab("{lab}")' in text or f"open_lab('{lab}')" in text]
    if len(opened) == 1:
        return opened[0]
    defined = {lab: sum(f"def {name}(" in text for name in names) for lab, names in functions.items()}
    best = max(defined, key=lambda lab: defined[lab], default="")
    if best and defined[best]:
        return best
    return next((lab for lab in functions if any(lab in part for part in parts)), "")


def submission(found: Found, functions: Mapping[str, frozenset[str]]) -> Submission | Unread:
    """What was found, as a submission.

    Args:
        found: a notebook as it was handed in.
        functions: names of each lab's exercises.
    """
    student = student_of(found.parts, functions)
    try:
        notebook, notes = read(found.data)
    except GradingError as error:
        return Unread(found.where, error.what, student)
    lab = lab_of(notebook, found.parts, functions)
    if not lab:
        return Unread(found.where, "it is of no lab of this course", student)
    if not student:
        return Unread(found.where, "nothing in its path names a learner")
    named = [each for each in functions if each != lab and any(each in part for part in found.parts)]
    notes += (f"its name says {named[0]}, its content {lab}",) if named else ()
    return Submission(student, lab, found, notebook, notes)


def choose(submissions: Iterable[Submission]) -> tuple[Submission, ...]:
    """One for each learner and lab: the newest, with a note that names the others."""
    groups: dict[tuple[str, str], list[Submission]] = {}
    for each in submissions:
        groups.setdefault((each.student, each.lab), []).append(each)
    chosen = []
    for group in groups.values():
        *older, newest = sorted(group, key=lambda each: (each.found.modified, each.found.where))
        notes = tuple(f"newer than {each.found.where}, which is left aside" for each in older)
        chosen.append(replace(newest, notes=newest.notes + notes))
    return tuple(sorted(chosen, key=lambda each: (each.lab, each.student)))


def collect(
    paths: Iterable[Path], functions: Mapping[str, frozenset[str]]
) -> tuple[tuple[Submission, ...], tuple[Unread, ...]]:
    """All submissions in files, folders and zips, and what could not be read."""
    read_ones = [each if isinstance(each, Unread) else submission(each, functions) for each in find(paths)]
    unread = tuple(each for each in read_ones if isinstance(each, Unread))
    return choose(each for each in read_ones if isinstance(each, Submission)), unread
