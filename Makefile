# make demo | test | test-slow | mutants | lint | docs: each does its own set-up in .venv, with Python 3.11 and pip only.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test test-slow mutants lint docs clean

demo: .venv/demo.stamp
	$(BIN)/gradaudit demo --out demo

test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-slow: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadgroup -m slow

mutants: .venv/dev.stamp
	$(BIN)/python tests/mutants.py

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/docs.stamp
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build
	@echo "open docs/_build/index.html"

.venv/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev.stamp: .venv/demo.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.venv/docs.stamp: .venv/demo.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

clean:
	rm -rf .venv demo build dist docs/_build
