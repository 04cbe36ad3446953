"""The cache of the control plane's binaries: found, damaged, mended, shared. The source is a small fake."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lablib.cluster import binaries, gobuild, releases
from lablib.errors import SetupError
from lablib.settings import Settings

Build = Callable[[Path, gobuild.Progress], None]


def place(target: Path, progress: gobuild.Progress) -> None:
    for name in binaries.NAMES:
        (target / name).write_text(f"#!/bin/sh\necho {name}\n")
        (target / name).chmod(0o755)


def refuse(target: Path, progress: gobuild.Progress) -> None:
    (target / "etcd").write_text("half")
    raise SetupError("no Go toolchain is there")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("LAB_BINARIES_DIR", raising=False)
    monkeypatch.setattr(gobuild, "build", place)
    return Settings()


def obtain(settings: Settings) -> tuple[binaries.Binaries, list[str]]:
    said: list[str] = []
    return binaries.obtain(settings, said.append, lambda doing, share: None), said


def test_an_empty_cache_is_filled_once_and_says_why_it_was_not_there(settings: Settings):
    with pytest.raises(SetupError, match="not there") as error:
        binaries.find(settings)
    assert error.value.remedy == "Run: make setup"
    first, said = obtain(settings)
    assert first.source == "a build from the Go modules"
    assert said[0] == "cache: not there"
    assert said[1].startswith("official releases: no checksum is pinned")
    assert obtain(settings) == (binaries.Binaries(first.folder, "the cache"), [])
    assert binaries.find(settings).path("etcd") == first.folder / "etcd"


def damages() -> dict[str, Callable[[Path], object]]:
    return {
        "its checksum differs": lambda folder: (folder / "kwok").write_text("other"),
        "not executable": lambda folder: (folder / "kwok").chmod(0o644),
        "kwok is missing": lambda folder: (folder / "kwok").unlink(),
        "manifest.json is missing": lambda folder: (folder / "manifest.json").unlink(),
        "can't be read": lambda folder: (folder / "manifest.json").write_text("{"),
    }


@pytest.mark.parametrize("told", sorted(damages()))
def test_a_damaged_cache_is_noticed_and_mended(settings: Settings, told: str):
    found, _ = obtain(settings)
    damages()[told](found.folder)
    with pytest.raises(SetupError, match=told):
        binaries.find(settings)
    _, said = obtain(settings)
    assert told in said[0]
    assert binaries.damage(found.folder, full=True) is None


def test_a_byte_turned_over_with_size_and_time_kept_is_seen_by_the_full_look(settings: Settings):
    folder = obtain(settings)[0].folder
    file, before = folder / "etcd", (folder / "etcd").stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert binaries.damage(folder) is None
    assert binaries.damage(folder, full=True) == "etcd is damaged: its checksum differs"


def test_a_copied_cache_with_other_times_is_well(settings: Settings):
    folder = obtain(settings)[0].folder
    os.utime(folder / "etcd", ns=(0, 0))
    assert binaries.damage(folder) is None


def test_when_no_source_works_every_reason_is_told_and_nothing_half_done_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gobuild, "build", refuse)
    with pytest.raises(SetupError) as error:
        obtain(settings)
    assert "official releases: " in error.value.what
    assert "no Go toolchain is there" in error.value.what
    assert list((settings.cache_dir / "bin").iterdir()) == []


def test_a_source_that_leaves_one_out_does_not_fill_the_cache(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    def forgetful(target: Path, progress: gobuild.Progress) -> None:
        place(target, progress)
        (target / "kwok").unlink()

    monkeypatch.setattr(gobuild, "build", forgetful)
    with pytest.raises(SetupError, match="kwok"):
        obtain(settings)


def test_a_program_that_does_not_run_does_not_fill_the_cache(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    def wrong_machine(target: Path, progress: gobuild.Progress) -> None:
        place(target, progress)
        (target / "kwok").write_bytes(b"\x7fELF of another machine")

    monkeypatch.setattr(gobuild, "build", wrong_machine)
    with pytest.raises(SetupError, match="kwok"):
        obtain(settings)


def test_an_interrupted_fill_leaves_no_folder_and_the_next_one_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(target: Path, progress: gobuild.Progress) -> None:
        (target / "etcd").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(gobuild, "build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        obtain(settings)
    with pytest.raises(SetupError, match="not there"):
        binaries.find(settings)
    monkeypatch.setattr(gobuild, "build", place)
    assert binaries.damage(obtain(settings)[0].folder, full=True) is None


def test_two_at_once_fill_it_once(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    waiting, fills = threading.Event(), []

    def slow(target: Path, progress: gobuild.Progress) -> None:
        fills.append(target)
        assert waiting.wait(30)
        place(target, progress)

    def hear(line: str) -> None:
        if line.startswith("waiting for another set-up"):
            waiting.set()

    monkeypatch.setattr(gobuild, "build", slow)
    results: list[str] = []

    def work() -> None:
        results.append(binaries.obtain(settings, hear, lambda doing, share: None).source)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["a build from the Go modules", "the cache"]
    assert len(fills) == 1


def test_a_folder_that_the_user_names_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_BINARIES_DIR", str(tmp_path))
    with pytest.raises(SetupError, match="lacks etcd, kube-apiserver"):
        binaries.find()
    place(tmp_path, lambda doing, share: None)
    assert binaries.find() == binaries.Binaries(tmp_path, "LAB_BINARIES_DIR")
    assert obtain(Settings())[0].folder == tmp_path


def test_the_key_changes_with_the_pins(tmp_path: Path):
    (tmp_path / "etcd").mkdir()
    (tmp_path / "etcd" / "go.mod").write_text("module a")
    before = binaries.key(tmp_path)
    (tmp_path / "etcd" / "go.mod").write_text("module b")
    assert binaries.key(tmp_path) != before


def test_the_listed_releases_are_the_versions_of_the_modules():
    modules = {
        "kubernetes": "k8s.io/kubernetes",
        "kwok": "sigs.k8s.io/kwok",
        "etcd": "go.etcd.io/etcd/server/v3",
    }
    listed = json.loads(releases.PINS.read_text())
    for module, package in modules.items():
        version = gobuild.pinned_version(package, gobuild.PINS / module / "go.mod")
        for machine in ("x86_64", "aarch64"):
            assert any(f"/{version}/" in archive["url"] for archive in listed[machine])
