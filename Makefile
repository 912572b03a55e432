# `make` alone prints what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test bench lint lint-python lint-types lint-sql lint-queries constraints clean

help:  ## print this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */make \1\t/' | expand -t 20

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "$(PYTHON) is not Python 3.11 to 3.13. Name one that is: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# One stamp for each set of extras; the sets only ever add to each other.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[$*]'
	@touch $@

install: $(VENV)/.installed-demo  ## set up .venv with Forecastle and the demo's prices

demo: $(VENV)/.installed-demo  ## real prices all the way to forecasts that you can query
	@$(BIN)/forecastle demo

# The tests start many processes. Where Python is told to write no bytecode, each of them would compile every library anew.
test: $(VENV)/.installed-demo,yahoo,dev lint  ## everything that must hold
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-demo,yahoo,dev  ## ruff, mypy, import-linter, sqlfluff
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint-python lint-types lint-sql lint-queries

lint-python:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

lint-types:
	$(BIN)/mypy

lint-sql:
	$(BIN)/sqlfluff lint --disable-progress-bar --templater jinja dbt_project/models migrations/functions

lint-queries:
	$(BIN)/sqlfluff lint --disable-progress-bar --templater placeholder mlops

bench: $(VENV)/.installed-demo,bench  ## how fast, as ratios against what a user would pick
	$(BIN)/python -m benchmarks

constraints: $(BIN)/uv  ## pin again all that is installed
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python $(BIN)/python --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --upgrade --quiet --output-file constraints.txt

clean:  ## remove .venv and caches; the embedded database stays
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dbt_project/target dbt_project/logs
