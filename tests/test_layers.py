"""What a module promises in its first lines, import-linter holds it to (pyproject.toml)."""

import ast
import tomllib

from lablib.settings import REPOSITORY

EXCUSED = {
    "lablib.cluster.components",  # describes processes, with the values of modules that do I/O
    "lablib.cluster.status",  # judges with health.py's values
    "lablib.grading.lint",  # judges what build.py builds
    "lablib.gpu.handles",  # these three fill the C structures of the bindings
    "lablib.gpu.library",
    "lablib.gpu.library_mig",
}


def test_every_module_that_promises_no_io_is_under_contract():
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contracts = config["tool"]["importlinter"]["contracts"][:2]
    held = {module for contract in contracts for module in contract["source_modules"]}
    promised = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for file in (REPOSITORY / "lablib").rglob("*.py")
        if "Does no I/O" in (ast.get_docstring(ast.parse(file.read_text())) or "")
    }
    assert {name.removesuffix(".__init__") for name in promised} - held - EXCUSED == set()
