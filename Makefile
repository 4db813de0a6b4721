# Two commands: `make demo` and `make test`. Everything they need is installed below .venv*.

PYTHON ?= $(firstword $(foreach p,python3.14 python3.13 python3.12 python3.11 python3,$(if $(shell $(p) -c 'import sys, venv; assert sys.version_info >= (3, 11); print(1)' 2>/dev/null),$(p))))
VENV := .venv
FLOOR := .venv-floor
DEMO := .venv-demo
BENCH := .venv-bench
BIN := $(VENV)/bin
PORT ?= 8000
REDIS_URL ?= redis://localhost:6379
AGENTS := examples

# Three times as many workers as processors: much of what is tested is waiting (docs/testing.md).
TOGETHER := -n auto --dist loadgroup
# What another version of a dependency can change: how ADK, LangChain and settings are met, and,
# with another redis-py and without hiredis, how servers are. The contracts run where redis-py does
# more than connect.
FLOOR_TESTS := tests/engine tests/integrations tests/doctor tests/test_settings.py tests/test_package.py \
	tests/transfer/test_migration_adk.py $(wildcard tests/*/test_*contract.py)

OLDEST = $(if $(FULL),,$(FLOOR_TESTS) --ignore tests/engine/test_late_process.py) -o cache_dir=.pytest_cache/oldest

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-newest test-floor test-all lint bench soak clean

help:
	@echo "make demo         ADK's web UI with the demo agent on an embedded Valkey (http://127.0.0.1:$(PORT))"
	@echo "make test         the tests, on the newest and on the oldest supported dependencies: 12 minutes"
	@echo "make test-newest  the first half of it; ARGS='-k word' for some of them"
	@echo "make test-floor   the second half"
	@echo "make test-all     every test on every row, server and dependency, with more examples: an hour"
	@echo "make lint         ruff, mypy, pyright, import contracts"
	@echo "make setup        the virtual environment only"
	@echo "make dev          the demo agent on $(REDIS_URL)"
	@echo "make bench        Sojourn beside its peers: table, JSON and plot in bench/results"
	@echo "make soak         random faults on real servers: MINUTES=5 SEED=1"
	@echo "make clean        remove the virtual environments and what was built"

ENVIRONMENT = @test -n "$(PYTHON)" || { echo "Sojourn needs Python 3.11 or newer with the venv module: set PYTHON=/path/to/python3"; exit 1; }; \
	$(PYTHON) scripts/environment.py $(@D) --editable

setup: $(VENV)/.done

# All that is tested, and the linters: 800 MB.
$(VENV)/.done: pyproject.toml
	$(ENVIRONMENT) '.[adk,cli,crypto,embedded,hiredis,langchain,langgraph,langgraph-postgres,langgraph-sqlite,mcp,metrics,otel,server,uvloop,zstd]' --group test --group peers --group servers --group lint

# The oldest dependencies that are supported, and no hiredis.
$(FLOOR)/.done: pyproject.toml
	$(ENVIRONMENT) '.[adk,cli,crypto,embedded,langchain,langgraph,langgraph-postgres,langgraph-sqlite,mcp,metrics,otel,server,zstd]' 'google-adk==2.0.0' 'redis==5.2.0' 'langchain-core==1.0.0' 'langgraph==1.0.0' 'langgraph-checkpoint==2.1.2' 'pydantic-settings==2.6.0' 'zstandard==0.23.0' 'cryptography==42.0.0' --group test

# Only what the demo needs: 150 MB.
$(DEMO)/.done: pyproject.toml
	$(ENVIRONMENT) '.[adk,embedded]'

demo: $(DEMO)/.done
	@echo "Starting ADK's web UI: a few seconds. Then open http://127.0.0.1:$(PORT) and choose demo_agent."
	@echo "Sessions are kept in ./.sojourn. Ctrl-C ends it."
	$(DEMO)/bin/python -m sojourn adk web --port $(PORT) --session_service_uri=embedded:.sojourn $(AGENTS)

dev: $(DEMO)/.done
	$(DEMO)/bin/python -m sojourn adk web --port $(PORT) --session_service_uri=$(REDIS_URL) $(AGENTS)

# Both halves, also when the first fails.
test:
	@$(MAKE) --no-print-directory -j2 $(VENV)/.done $(FLOOR)/.done
	@failed=; \
	$(MAKE) --no-print-directory test-newest || failed="$$failed test-newest"; \
	$(MAKE) --no-print-directory test-floor || failed="$$failed test-floor"; \
	test -z "$$failed" || { echo "Failed:$$failed"; exit 1; }

# What fails beside others is run once more by itself, and decides there: some tests have deadlines.
ALONE := --last-failed --last-failed-no-failures none

test-newest: $(VENV)/.done
	$(BIN)/python -m pytest $(TOGETHER) $(ARGS) || $(BIN)/python -m pytest $(ALONE) $(ARGS)

test-floor: $(FLOOR)/.done
	export CONTRACTS_ON=$(if $(FULL),,$(or $(TOPOLOGIES),cluster)); \
	$(FLOOR)/bin/python -m pytest $(TOGETHER) $(OLDEST) $(ARGS) || $(FLOOR)/bin/python -m pytest $(ALONE) $(OLDEST) $(ARGS)

# All rows and examples; then the fault matrix on the servers that the first run did not have.
test-all:
	@FULL=1 $(MAKE) --no-print-directory test FULL=1
	@for server in redis-6.2 redis-8 valkey-9; do \
	  FULL=1 BINARY=$$server $(BIN)/python -m pytest $(TOGETHER) tests/faults || exit 1; \
	done

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

# The peers want another redis-py, so they live apart.
$(BENCH)/.done: pyproject.toml
	$(ENVIRONMENT) '.[adk,crypto,embedded,hiredis,zstd]' --group bench

bench: $(BENCH)/.done
	$(BENCH)/bin/python -m bench $(ARGS)

# Random faults for MINUTES, checked; then how long recovery takes.
soak: setup
	PYTHONPATH=tests $(BIN)/python -m faults.soak --minutes $(or $(MINUTES),5) --rounds $(or $(ROUNDS),3) --seed $(or $(SEED),1)

clean:
	rm -rf $(VENV) $(FLOOR) $(DEMO) $(BENCH) build dist
