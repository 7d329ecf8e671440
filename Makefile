# Everything runs in .venv, from pinned packages; each target first brings .venv up to date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
PROJECTS := . clients/python

.PHONY: setup demo test test-all check up lock clean
.DEFAULT_GOAL := setup

# --- environment ---

setup: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: requirements/torch.txt | $(BIN)/python
	$(PIP) -r requirements/torch.txt
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt $(VENV)/.torch $(PROJECTS:%=%/pyproject.toml)
	$(PIP) --no-deps --require-hashes -r requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation $(PROJECTS:%=--editable %)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(PIP) --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

# --- use ---

demo: $(VENV)/.runtime
	$(BIN)/python examples/support_desk/demo.py

up: $(VENV)/.runtime
	$(BIN)/tunery-server up

# --- quality ---

test: setup
	$(BIN)/python -m pytest -m "not slow and not gpu"

test-all: setup
	$(BIN)/python -m pytest -m "not gpu"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m service.api.openapi --check
	$(BIN)/python docs/generate_settings.py --check
	$(BIN)/python docs/generate_operations.py --check

# --- upkeep ---

UV := uv==0.13.9
PINS := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header
COMPILE := $(BIN)/uv $(PINS) pyproject.toml requirements/build.in
STACK := clients/python/pyproject.toml --extra api --extra worker --extra engine \
	--extra embedded
SAME := --constraints requirements/runtime.txt

# What `make demo` and `make test` install, and what the images of the Dockerfile do
lock: $(BIN)/python
	$(PIP) $(UV)
	$(COMPILE) $(STACK) --output-file requirements/runtime.txt
	$(COMPILE) $(STACK) --extra dev $(SAME) --output-file requirements/dev.txt
	$(COMPILE) --extra api --extra worker $(SAME) --output-file requirements/services.txt
	$(BIN)/uv $(PINS) requirements/contract-openai-2.in --output-file requirements/contract-openai-2.txt
	$(BIN)/uv $(PINS) requirements/contract-ecosystem.in \
		--output-file requirements/contract-ecosystem.txt
	$(COMPILE) requirements/default-base.in --extra engine $(SAME) \
		--output-file requirements/engine.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} + -o -name '*.egg-info' -prune -exec rm -rf {} +
