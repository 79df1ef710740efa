# make demo | test | test-slow | test-integrations | test-oldest | build | mutants | lint | docs: each does its own set-up, with Python 3.11 and
# pip only, in .venv, .venv-integrations or .venv-oldest. PYTHON=python3.13 takes another Python.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INTEGRATIONS := .venv-integrations/bin

.PHONY: demo test test-slow test-integrations test-oldest build mutants lint docs clean

demo: .venv/demo.stamp
	$(BIN)/gradaudit demo --out demo

test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-slow: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadgroup -m slow

# Other people's libraries on the newest PyTorch; ALL=1 runs the quick tests there too.
test-integrations: .venv-integrations/integrations.stamp
	OMP_NUM_THREADS=1 GRADAUDIT_INTEGRATIONS=1 $(INTEGRATIONS)/pytest -n auto --dist worksteal -m "not slow" $(if $(ALL),,tests/integrations)

# The quick tests on the oldest versions that pyproject.toml allows, whose own deprecations are no concern of ours.
test-oldest: .venv-oldest/oldest.stamp
	OMP_NUM_THREADS=1 .venv-oldest/bin/pytest -n auto --dist worksteal -m "not slow" -o filterwarnings=default

# What is published, built and tried: sdist and wheel in dist/.
build: .venv/release.stamp
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	GRADAUDIT_DIST=dist OMP_NUM_THREADS=1 $(BIN)/pytest tests/packaging

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

.venv/release.stamp: .venv/dev.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[release]"
	touch $@

.venv-oldest/oldest.stamp: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e ".[dev]"
	touch $@

# RobustBench asks for timm 1.0.9 alone and Torchattacks for requests 2.25: they work with those that the others need, so pip must not ask.
.venv-integrations/integrations.stamp: pyproject.toml constraints-integrations.txt
	$(PYTHON) -m venv .venv-integrations
	$(INTEGRATIONS)/pip install --quiet --disable-pip-version-check -c constraints-integrations.txt -e ".[integrations]"
	$(INTEGRATIONS)/pip install --quiet --disable-pip-version-check -c constraints-integrations.txt geotorch torchdiffeq gdown
	$(INTEGRATIONS)/pip install --quiet --disable-pip-version-check -c constraints-integrations.txt --no-deps robustbench torchattacks
	touch $@

clean:
	rm -rf .venv .venv-integrations .venv-oldest demo build dist docs/_build docs/jupyter_execute
