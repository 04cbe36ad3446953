# Two commands: `make lab` and `make test`. Each does the set-up first; the second time that takes a second.
PYTHON ?= python3

.PHONY: lab tour test check setup constraints clean

lab: setup
	.venv/bin/lablib lab open 00

tour: setup
	.venv/bin/lablib tour

test: setup
	.venv/bin/python -m pytest

check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

setup:
	@$(PYTHON) lablib/bootstrap.py

# Choose every version anew. The marker that all lines share says no more than pyproject.toml does.
SHARED = python_full_version < '3.14' and \(\(platform_machine == 'aarch64' and sys_platform == 'linux'\) or \(platform_machine == 'x86_64' and sys_platform == 'linux'\)\)
constraints: setup
	uv pip compile --quiet pyproject.toml --all-extras --group setup --group dev --universal \
	    --upgrade --no-annotate --no-header | sed -E "s/ ; $(SHARED)$$//" > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:
	rm -rf .venv .*_cache
