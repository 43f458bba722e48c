# Every target does its own set-up: a Python 3.11 or newer, git and make are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What trains language models needs torch, which is large; it has an environment of its own.
TRAIN := .venv-train
TRAIN_READY := $(TRAIN)/.ready
# What to pass on: make cycle ARGS="--cycles 3"
ARGS ?=

.PHONY: cycle test test-services test-train test-browser test-docs conformance check docs reference bench bench-train chaos proof setup setup-train
cycle: $(READY)  ## improve the demo's model, twice around
	$(BIN)/etude cycle $(ARGS)

test: $(READY)  ## the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not services and not documented" $(ARGS)

test-services: $(READY)  ## what takes processes and seconds: services and their doubles, jobs elsewhere, two users, kills
	$(BIN)/python -m pytest -n 2 --dist loadfile -m services $(ARGS)

test-train: $(TRAIN_READY)  ## trainings of a tiny language model, on the CPU
	OMP_NUM_THREADS=1 $(TRAIN)/bin/python -m pytest -W default tests/train $(ARGS)

test-browser: $(VENV)/.browser-ready  ## the pages in a real browser: needs Chromium and its driver (on Debian: chromium chromium-driver)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/browser $(ARGS)

conformance: $(READY)  ## the MCP conformance suite against every server over HTTP: needs npx
	$(BIN)/python -m tests.conformance $(ARGS)

check: $(READY)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)  ## the demo with its holdout, then twenty other seeds of it
	$(BIN)/python -m tests.bench.demo
	$(BIN)/python -m tests.bench.seeds $(ARGS)

bench-train: $(TRAIN_READY)  ## our training beside a plain TRL script, in rows a second
	$(TRAIN)/bin/python -m tests.bench.lora $(ARGS)

chaos: $(READY)  ## a hundred kills, each followed by the same command again; then a death in every window
	$(BIN)/python -m tests.chaos $(ARGS)
	$(BIN)/python -m tests.chaos.windows

proof: $(READY)  ## simulations of how often the judge is fooled; writes docs/proof.md
	$(BIN)/python -m tests.proof

docs: $(VENV)/.docs-ready  ## the documentation as a site, in docs/_build/html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --conf-dir docs --builder html . docs/_build/html

reference: $(READY)  ## the pages that are made from the code: docs/reference
	$(BIN)/python -m docs.generate

test-docs: $(READY)  ## what the documentation tells people to type, in copies of this folder; a few minutes
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m documented $(ARGS)

setup: $(READY)

setup-train: $(TRAIN_READY)

# uv takes seconds where pip takes a minute; where uv cannot reach the registry that pip is set up for, pip does it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

$(VENV)/.browser-ready $(VENV)/.docs-ready: $(VENV)/.%-ready: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,$*]' \
	  || $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,$*]'
	touch $@

# torch by pip, which finds the build that suits the machine; the rest as above.
$(TRAIN_READY): $(READY) constraints-train.txt
	$(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-train.txt torch
	$(BIN)/uv pip install --quiet --python $(TRAIN)/bin/python --constraint constraints.txt \
	  --constraint constraints-train.txt --editable '.[dev,train]' \
	  || $(TRAIN)/bin/python -m pip install --quiet --constraint constraints.txt \
	  --constraint constraints-train.txt --editable '.[dev,train]'
	touch $(TRAIN_READY)
