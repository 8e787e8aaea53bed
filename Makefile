# Everything starts here from plain Python 3.11, 3.12 or 3.13. Each target makes its own environment in .venv on first use;
# a stamp remembers it, so the next call starts at once. Choose an interpreter with `make test PYTHON=python3.12`.

VENV ?= .venv
PYTHON ?=
JOBS ?= 2
ARGS ?=
KILLS ?= 500
FAULTS ?= 2000

BIN := $(VENV)/bin
CORE := $(VENV)/.core-stamp
DASHBOARD := $(VENV)/.dashboard-stamp
DEVELOPMENT := $(VENV)/.development-stamp

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test browser install check bench chaos format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DASHBOARD) ## Trade simulated sessions on the dashboard and write their reports
	@$(BIN)/sovereign demo $(ARGS)

test: $(DEVELOPMENT) ## Run the tests (more: make test ARGS="-k word")
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

browser: $(DEVELOPMENT) ## Get a Chromium for the tests of the pages, where one can be had
	@$(BIN)/python scripts/browser

install: $(CORE) ## Install the sovereign command with dashboard, Alpaca and data vendors
	@scripts/environment "$(VENV)" "$(PYTHON)" ".[alpaca,dashboard,databento,dbn,massive,notify]"
	@echo "installed; run $(BIN)/sovereign --help, or put $(BIN) on your PATH"

check: $(DEVELOPMENT) ## Check format, lint, types and import contracts
	@PATH="$(abspath $(BIN)):$$PATH" scripts/check

bench: $(DEVELOPMENT) ## Measure against peers, which get environments of their own in .venvs
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: $(CORE) ## Kill sessions and break their venue, by the hundred (make chaos KILLS=500 FAULTS=2000)
	@$(BIN)/python -m sovereign.app.rehearsal --kills $(KILLS) --faults $(FAULTS) $(ARGS)

format: $(DEVELOPMENT) ## Format the code and apply safe lint fixes
	@$(BIN)/ruff format && $(BIN)/ruff check --fix

clean: ## Remove environments and caches
	@rm -rf $(VENV) .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(CORE): pyproject.toml constraints.txt scripts/environment
	@scripts/environment "$(VENV)" "$(PYTHON)" "."
	@touch $@

$(DASHBOARD): pyproject.toml constraints.txt scripts/environment
	@scripts/environment "$(VENV)" "$(PYTHON)" ".[dashboard]"
	@touch $(CORE) $@

$(DEVELOPMENT): pyproject.toml constraints.txt scripts/environment
	@scripts/environment "$(VENV)" "$(PYTHON)" ".[dev]"
	@touch $(CORE) $(DASHBOARD) $@
