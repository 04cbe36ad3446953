"""Building Go modules: a small real one by the real Go, where there is one."""

import shutil
from pathlib import Path

import pytest

from lablib.cluster import gobuild
from lablib.errors import SetupError
from lablib.process import run

PROGRAM = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("v1") }\n'


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go on PATH")
def test_the_environment_builds_a_real_module_in_our_own_caches_and_goes_on_after_a_failure(tmp_path: Path):
    module, cache, target = tmp_path / "module", tmp_path / "cache", tmp_path / "target"
    module.mkdir()
    (module / "go.mod").write_text("module example.test/tiny\n\ngo 1.26\n\ntool example.test/tiny\n")
    (module / "main.go").write_text("package main\n\nfunc main() {\n")
    arguments = ["go", "install", "tool"]
    environment = gobuild.environment(cache, target)
    with pytest.raises(SetupError, match=r"main\.go"):
        run(arguments, cwd=module, env=environment)
    (module / "main.go").write_text(PROGRAM)
    run(arguments, cwd=module, env=environment)
    assert run([target / "tiny"]) == "v1\n"
    assert (cache / "go" / "build").is_dir()
    assert gobuild.count_packages(Path("go"), str(module), cache) > 10
    gobuild.remove_caches(cache)
    assert not (cache / "go").exists()


def test_the_users_flags_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GOFLAGS", "-p=2")
    assert gobuild.environment(tmp_path)["GOFLAGS"] == "-p=2 -mod=readonly -modcacherw -buildvcs=false"
    assert "GOPROXY" not in gobuild.environment(tmp_path)


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("echo go version go1.26.8 linux/amd64", (1, 26)),
        ("echo something else", (0, 0)),
        ("exit 1", (0, 0)),
    ],
)
def test_versions_of_go(tmp_path: Path, program: str, version: tuple[int, int]):
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\n{program}\n")
    go.chmod(0o755)
    assert gobuild.go_version(go) == version


def test_too_little_disk_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gobuild, "DISK_NEEDED_BYTES", 1 << 60)
    (tmp_path / "bin" / "key").mkdir(parents=True)
    with pytest.raises(SetupError, match="of disk are free") as error:
        gobuild.build(tmp_path / "bin" / "key", lambda doing, share: None)
    assert "LAB_CACHE_DIR" in error.value.remedy
