# Everything here needs Python 3.11 or newer and make, nothing else. `make` alone prints what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SOURCES := services workflows deploy tests protos/generate.py
# By a worker a processor, each with servers of its own; a file's tests stay together and in their order.
PYTEST := $(BIN)/pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.PHONY: help install protos up down lint format test soak bench lock

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) protos ## Make the virtual environment, install, generate; nothing when nothing changed.

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Kejing needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name another by make PYTHON=…")'
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python protos/generate.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

protos: $(INSTALLED) ## Generate the contracts' Python modules, where a contract changed.
	@$(BIN)/python protos/generate.py

up: install ## Start the whole stack on this machine; on a new home, play the story that shows what it does.
	$(BIN)/kejing up --detach
	$(BIN)/kejing demo --if-new

down: install ## Stop the stack; its data stays.
	$(BIN)/kejing down

lint: install ## Check style, types, import rules and contracts.
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/buf lint protos/gen/kejing.binpb --config protos/buf.yaml

format: install ## Bring the code into its form.
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

test: lint ## Lint, then run all tests, crash and size tests at a part of their size.
	$(PYTEST)

soak: lint ## The same with crash and size tests in full.
	KEJING_SOAK=1 $(PYTEST)

bench: install ## Print what things cost, beside the bare thing underneath.
	$(BIN)/python -m tests.benchmarks

lock: $(INSTALLED) ## Choose the newest allowed versions of all dependencies anew.
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
