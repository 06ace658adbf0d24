# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SAMPLE := $(firstword $(wildcard datasets/sample/EMIT_L1B_RAD_*.nc))

.DEFAULT_GOAL := help
.PHONY: help install dev-install dev-install-tensorrt demo test check bench bench-performance reliability clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(VENV)/.installed ## create .venv and install the package in it

dev-install: $(VENV)/.dev ## the same with what tests and checks need (the published project's name for it)

dev-install-tensorrt: $(VENV)/.dev ## dev-install with TensorRT, where there is an NVIDIA GPU
	$(PIP) --editable ".[dev,trt]"

demo: $(VENV)/.installed ## mask the bundled sample granule; shows where the mask and its picture are
	@mkdir -p demo
	$(BIN)/spectf-cloud deploy-pt demo/mask.tif $(SAMPLE) --proba --ortho demo/ortho.tif \
		--netcdf demo/mask.nc --quicklook demo/quicklook.png --overwrite

test: $(VENV)/.dev ## run the tests (under ten minutes)
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadscope

check: $(VENV)/.dev ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev ## slow checks: full-size scenes, speed ratios
	$(BIN)/python -m pytest -m slow -s

reliability: $(VENV)/.dev ## kills, full disks, load, false alarms: writes evaluation/reliability.md
	$(BIN)/python -m evaluation.reliability

bench-performance: $(VENV)/.dev ## speed and fidelity of every CPU path (half an hour of CPU; needs SPECTF_REFERENCE)
	$(BIN)/python -m evaluation.performance.bench

clean: ## remove .venv, caches and demo output
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by exact version, so that pip never reaches for another build.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --editable ".[dev]"
	@touch $@
