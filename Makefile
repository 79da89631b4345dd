# Every target needs nothing but Python 3.11 or newer; .venv makes itself the first time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test check dev bench chaos clean lock

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$name && break; done)
BIN := .venv/bin
export HUNTAZE_HOME ?= $(CURDIR)/.huntaze
# Containers often forbid it; then each worker of the tests compiles every module again, each time.
test check: export PYTHONDONTWRITEBYTECODE :=

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## install into .venv (the others do it by themselves)
	@$(or $(PYTHON),$(error Huntaze needs Python 3.11 or newer, and there is no python3 on PATH)) \
		huntaze_pipeline/local/bootstrap.py

demo: setup ## a year of real shopping through the whole loop, in three to four minutes
	@$(BIN)/huntaze demo

test: setup ## the tests, without the slow ones
	@$(BIN)/python -m pytest -m "not slow" --hypothesis-profile quick -n 3 --dist worksteal

check: setup ## everything that CI checks: format, lint, types, imports, rules, all tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports
	@$(BIN)/huntaze rules check
	@$(BIN)/python -m pytest -n 2 --dist worksteal

dev: setup ## the whole system on this machine, until Ctrl-C
	@$(BIN)/huntaze up

bench: setup ## measure the figures in the README
	@set -e; for script in benchmarks/[a-z]*.py; do $(BIN)/python "$$script"; done

chaos: setup ## kill everything at every point while sending, and count; about five minutes
	@$(BIN)/huntaze chaos

clean: ## remove .venv and the local data
	@$(or $(PYTHON),python3) huntaze_pipeline/local/bootstrap.py clean

lock: ## pin the newest versions that pyproject.toml allows (needs uv)
	@command -v uv > /dev/null || { echo "error: make lock needs uv on PATH" >&2; exit 1; }
	@{ echo '# Every package, pinned with its hashes; made by `make lock` from pyproject.toml.'; \
		uv pip compile -q --universal --python-version 3.11 --all-extras --generate-hashes \
			--no-header --no-annotate --upgrade pyproject.toml; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock
