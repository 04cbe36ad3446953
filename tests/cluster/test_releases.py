"""Downloads from a server on loopback: good, and each way of being bad."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from lablib.cluster import releases
from lablib.errors import ChecksumMismatch, SetupError

PROGRAM = b"#!/bin/sh\necho kwok\n"


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("etcd-v1/etcd")
        entry.size = len(PROGRAM)
        tar.addfile(entry, io.BytesIO(PROGRAM))
    return buffer.getvalue()


FILES = {"/kwok": PROGRAM, "/etcd.tar.gz": archive()}


@pytest.fixture
def server() -> Iterator[str]:
    release = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/silent":
                release.wait()
                return
            body = FILES.get(self.path.removeprefix("/short"))
            self.send_response(200 if body else 404)
            body = body or b"gone"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:5] if self.path.startswith("/short") else body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        release.set()
        http.shutdown()
        thread.join()


def pins(folder: Path, url: str, content: bytes, members: dict[str, str]) -> Path:
    entry = {"url": url, "sha512": hashlib.sha512(content).hexdigest(), "members": members}
    file = folder / "releases.json"
    file.write_text(json.dumps({platform.machine(): [entry]}))
    return file


def get(tmp_path: Path, url: str, content: bytes, members: dict[str, str]) -> Path:
    target = tmp_path / "target"
    target.mkdir()
    releases.download(target, lambda doing, share: None, pins(tmp_path, url, content, members))
    return target


def test_a_plain_binary_and_one_in_an_archive(server: str, tmp_path: Path):
    for name, path, members in (
        ("kwok", "/kwok", {"": "kwok"}),
        ("etcd", "/etcd.tar.gz", {"etcd-v1/etcd": "etcd"}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        target = get(folder, server + path, FILES[path], members)
        assert [file.name for file in target.iterdir()] == [name]
        assert (target / name).read_bytes() == PROGRAM
        assert (target / name).stat().st_mode & 0o111


def test_another_checksum_is_refused(server: str, tmp_path: Path):
    with pytest.raises(ChecksumMismatch):
        get(tmp_path, f"{server}/kwok", b"what was pinned", {"": "kwok"})
    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.parametrize("path", ["/missing", "/short/kwok"])
def test_a_missing_or_cut_off_file_is_an_error(server: str, tmp_path: Path, path: str):
    with pytest.raises(SetupError):
        get(tmp_path, server + path, PROGRAM, {"": "kwok"})
    assert list((tmp_path / "target").iterdir()) == []


def test_a_silent_server_is_given_up(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(releases, "SILENCE_SECONDS", 0.2)
    with pytest.raises(SetupError, match="timed out"):
        get(tmp_path, f"{server}/silent", PROGRAM, {"": "kwok"})


def test_an_archive_without_the_member_is_an_error(server: str, tmp_path: Path):
    with pytest.raises(SetupError, match="not as expected"):
        get(tmp_path, f"{server}/etcd.tar.gz", FILES["/etcd.tar.gz"], {"bin/etcd": "etcd"})


def test_nobody_answers(tmp_path: Path):
    with pytest.raises(SetupError, match="can't be downloaded"):
        get(tmp_path, "http://127.0.0.1:9/kwok", PROGRAM, {"": "kwok"})


def test_an_archive_without_a_published_checksum_is_never_fetched(tmp_path: Path):
    file = tmp_path / "releases.json"
    file.write_text(json.dumps({"x86_64": [{"url": "http://127.0.0.1:9/a", "sha512": None, "members": {}}]}))
    with pytest.raises(SetupError, match="no checksum is pinned"):
        releases.read(file, "x86_64")
    with pytest.raises(SetupError, match="no releases are listed for riscv64"):
        releases.read(file, "riscv64")
