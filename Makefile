# Everything a person does here, as one command each.  `make help` lists them.
# Python >= 3.11 and make are all it takes; uv is used when it is there.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check chaos bench bench-cache api-docs lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install the locked dependencies

$(READY): pyproject.toml requirements.lock
	@if command -v uv >/dev/null 2>&1; then \
		echo "setting up .venv with uv" && \
		{ [ -x $(BIN)/python ] || uv venv --quiet --python '>=3.11' .venv; } && \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	elif [ -z "$(PYTHON)" ]; then \
		echo "no Python >= 3.11 found; install one, or uv, or run: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; \
	else \
		echo "setting up .venv with $(PYTHON) and pip" && \
		{ [ -x $(BIN)/python ] || $(PYTHON) -m venv .venv; } && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(READY)

demo: setup ## watch 6,000 real messages become mentors' prompts
	@$(BIN)/ion demo

up: setup ## run the fleet here until Ctrl-C
	@$(BIN)/ion up

test: setup ## run every test, three at a time
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: setup ## lint, format, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

chaos: setup ## break things on purpose, count what is lost, write docs/guarantees.md (about 30 minutes)
	@$(BIN)/python -m tests.chaos.run $(ARGS)

bench: setup ## measure this machine: beside bare Celery, bare FastAPI, and with nobody watching (about 11 minutes)
	@$(BIN)/ion bench
	@$(BIN)/ion bench-http || [ $$? -eq 3 ] # 3: wrk is not installed
	@$(BIN)/ion bench-observability

bench-cache: setup ## measure the cache: simulated traces, then this machine (about 6 minutes)
	@$(BIN)/ion simulate cache $(ARGS)
	@$(BIN)/ion bench-cache $(ARGS)

api-docs: setup ## ask a gateway for the examples of the HTTP API, write docs/api.md
	@$(BIN)/python -m tests.support.api_docs

lock: ## renew requirements.lock from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --group dev -o requirements.lock pyproject.toml

clean: ## remove .venv, caches and the local stack's data
	@rm -rf .venv .ion .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
