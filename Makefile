# make demo | test | test-slow | mutants | lint | docs: each does its own set-up in .venv, with Python 3.11 and pip only.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INTEGRATIONS := .venv-integrations/bin

.PHONY: demo test test-slow mutants lint docs clean

demo: .venv/demo.stamp
	$(BIN)/gradaudit demo --out demo

test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-slow: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadgroup -m slow

# Other people's libraries on the newest PyTorch; ALL=1 runs the quick tests there too.
test-integrations: .venv-integrations/integrations.stamp
	OMP_NUM_THREADS=1 GRADAUDIT_INTEGRATIONS=1 $(INTEGRATIONS)/pytest -n auto --dist worksteal -m "not slow" $(if $(ALL),,tests/integrations)

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

# RobustBench asks for timm 1.0.9 alone and Torchattacks for requests 2.25: they work with those that the others need, so pip must not ask.
.venv-integrations/integrations.stamp: pyproject.toml constraints-integrations.txt
	$(PYTHON) -m venv .venv-integrations
	$(INTEGRATIONS)/pip install --quiet --disable-pip-version-check -c constraints-integrations.txt -e ".[integrations]"
	$(INTEGRATIONS)/pip install --quiet --disable-pip-version-check -c constraints-integrations.txt geotorch torchdiffeq gdown
	$(INTEGRATIONS)/pip install --quiet --disable-pip-version-check -c constraints-integrations.txt --no-deps robustbench torchattacks
	touch $@

clean:
	rm -rf .venv demo build dist docs/_build
