# TokenTally's commands; `make help` lists them. Plain GNU make and /bin/sh.
# Variables given on the command line reach the commands: make up EDGE_PORT=9080 DETACH=1

VENV := .venv
BIN := $(VENV)/bin
STACK = $(BIN)/python -m tt_sandbox.stack
PACKAGES := $(dir $(wildcard libs/*/pyproject.toml services/*/pyproject.toml))
SETUP_STAMP := $(VENV)/.installed
NODE_TESTS := tests/conformance/node
NODE_STAMP := $(NODE_TESTS)/node_modules/.installed
TESTS ?= tests/unit tests/tidy tests/integration tests/conformance tests/e2e tests/fault
# Three processes, each with servers of its own, as much of a test is waiting; TEST_PROCESSES=0 runs all in one, as a debugger wants it.
TEST_PROCESSES ?= 3
PYTEST = $(BIN)/pytest -n $(TEST_PROCESSES) --no-loadscope-reorder
# The tests start services by the dozen: bytecode is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url --no-header --no-annotate --python-version 3.11
# The newest Python that the lock file covers; else whatever python3 is.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup up dev down reset logs status demo-key deposit events team test check format fault fuzz bench generate env trial lock clean installed node-packages

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP_STAMP) ## create .venv and install everything into it (done again only when requirements change)

$(SETUP_STAMP): requirements/dev.txt $(addsuffix pyproject.toml,$(PACKAGES))
	@$(or $(PYTHON),false) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer with venv is needed (Debian: apt install python3-venv); name one with PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Creating $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the locked requirements (a few minutes the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@echo "Installing the project's own packages"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES))
	@touch $@

installed:
	@test -x $(BIN)/python || { echo "Nothing is installed yet: make up does it" >&2; exit 1; }

up: setup ## start everything and stay in the foreground (DETACH=1: in the background; ports: EDGE_PORT, CONSOLE_PORT, ...)
	@exec $(STACK) up

dev: setup ## like up, restarting a service when its source changes
	@exec $(STACK) up --reload

down: installed ## stop what `make up DETACH=1` started; data stays
	@$(STACK) down

reset: installed ## stop and delete all data (asks first unless YES=1)
	@$(STACK) reset

.PHONY: backup restore
backup: installed ## dump the databases of the running stack: TO=folder (docs/backup.md)
	@$(STACK) backup $(if $(TO),--folder $(TO))

restore: installed ## put one database back, the stack stopped: FROM=folder DATABASE=billing, deposits or console
	@$(STACK) restore $(if $(FROM),--folder $(FROM)) $(if $(DATABASE),--database $(DATABASE))

logs: installed ## follow the logs of all processes
	@exec $(STACK) logs

status: installed ## processes, ports and uptimes
	@$(STACK) status

demo-key: installed ## print the demo account's API key, alone with make -s
	@$(STACK) demo-key

deposit: installed ## send test USDT on the sandbox chain and watch it arrive: AMOUNT=25 (ACCOUNT=acc_..., else the demo account)
	@$(BIN)/python -m tt_sandbox.stack.deposit "$(AMOUNT)" $(if $(ACCOUNT),--account "$(ACCOUNT)")

events: installed ## show events as they happen (ARGS="--type usage --account acc_... --since 10m --json")
	@exec $(BIN)/python -m tt_sandbox.stack.events $(ARGS)

team: installed ## NATS credentials for an internal team: NAME=analytics (ARGS=--rotate or --remove)
	@$(BIN)/python -m tt_sandbox.stack.team $(NAME) $(ARGS)

test: setup node-packages ## all tests, against real NATS and PostgreSQL
	@if command -v node >/dev/null; then $(PYTEST) $(wildcard $(TESTS)); \
	else echo "node is missing: the tests of the SDKs for Node are deselected"; $(PYTEST) -m "not node" $(wildcard $(TESTS)); fi

check: setup ## lint, formatting, types, layers, then the tests: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

format: setup ## format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fault: setup ## break everything: every fault by name, then 200 seeded rounds, and 100 of deposits (ARGS="--rounds 20 --seed 7"); see docs/fault-suite.md
	@TT_FAULT_LONG=1 $(BIN)/pytest tests/fault
	@$(BIN)/python -m tests.fault --each $(ARGS)
	@$(BIN)/python -m tests.fault.deposits --each $(ARGS)

fuzz: setup ## relays and API documents with made-up data, for long (FUZZ_EXAMPLES=20000 API_EXAMPLES=200)
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),20000) API_EXAMPLES=$(or $(API_EXAMPLES),200) $(BIN)/pytest --timeout=7200 \
		tests/unit/edge/test_relay_fuzz.py tests/unit/edge/anthropic/test_anthropic_fuzz.py \
		tests/unit/edge/translation/test_crossings.py tests/unit/edge/translation/test_damaged_bytes.py \
		tests/integration/console/test_api_document.py

bench: setup ## the edge against a bare passthrough, side by side, and billing (ARGS="--rounds 3 --only calls")
	@$(BIN)/python -m tests.bench.run $(ARGS)

generate: setup ## write settings tables, event schemas and API documents anew
	@for part in settings_tables schemas asyncapi event_samples openapi nats_users; do $(BIN)/python -m tests.tidy.$$part --write || exit 1; done

env: ## write .env with random passwords for docker compose; never overwrites one
	@deploy/compose/make-env

trial: setup ## docker compose up for real, and what breaks when an edge is killed and all is rolled (needs Docker, make env)
	@$(BIN)/python -m tests.compose.trial

lock: setup ## compile requirements/*.in to *.txt with hashes
	$(COMPILE) requirements/services.in -o requirements/services.txt
	$(COMPILE) requirements/runtime.in -o requirements/runtime.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt

clean: ## delete .venv and caches; data stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache .hypothesis $(NODE_TESTS)/node_modules
	find libs services tests -name __pycache__ -prune -exec rm -rf {} +

node-packages: $(if $(shell command -v npm),$(if $(wildcard $(NODE_TESTS)/package-lock.json),$(NODE_STAMP)))

$(NODE_STAMP): $(NODE_TESTS)/package-lock.json
	@echo "Installing the SDKs for Node for their tests"
	@cd $(NODE_TESTS) && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@
