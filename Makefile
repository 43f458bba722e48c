# Every target does its own set-up: a Python 3.11 or newer, git and make are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What to pass on: make cycle ARGS="--cycles 3"
ARGS ?=

.PHONY: cycle test check bench chaos proof setup
cycle: $(READY)  ## improve the demo's model, twice around
	$(BIN)/etude cycle $(ARGS)

test: $(READY)  ## the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(READY)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)  ## the demo with its holdout, then twenty other seeds of it
	$(BIN)/python -m tests.bench.demo
	$(BIN)/python -m tests.bench.seeds $(ARGS)

chaos: $(READY)  ## a hundred kills, each followed by the same command again; then a death in every window
	$(BIN)/python -m tests.chaos $(ARGS)
	$(BIN)/python -m tests.chaos.windows

proof: $(READY)  ## simulations of how often the judge is fooled; writes docs/proof.md
	$(BIN)/python -m tests.proof

setup: $(READY)

# uv takes seconds where pip takes a minute; where uv cannot reach the registry that pip is set up for, pip does it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
