# Two commands: `make demo` and `make test`. Everything they need is installed below .venv.

PYTHON ?= $(firstword $(foreach p,python3.14 python3.13 python3.12 python3.11 python3,$(if $(shell $(p) -c 'import sys, venv; assert sys.version_info >= (3, 11); print(1)' 2>/dev/null),$(p))))
VENV := .venv
FLOOR := .venv-floor
BENCH := .venv-bench
BIN := $(VENV)/bin
PORT ?= 8000
REDIS_URL ?= redis://localhost:6379
AGENTS := examples

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test test-floor lint bench soak clean

help:
	@echo "make demo    ADK's web UI with the demo agent on an embedded Valkey (http://127.0.0.1:$(PORT))"
	@echo "make test    all tests, on the newest and on the oldest supported dependencies"
	@echo "make setup   the virtual environment only"
	@echo "make dev     the demo agent on $(REDIS_URL)"
	@echo "make bench   Sojourn beside its peers: table, JSON and plot in bench/results"
	@echo "make soak    random faults on real servers: MINUTES=5 SEED=1"
	@echo "make lint    ruff, mypy, pyright, import contracts"

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Sojourn needs Python 3.11 or newer with the venv module: set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[adk,cli,embedded,hiredis,langchain,mcp,security,uvloop]' --group test --group lint
	@touch $@

# The oldest dependencies that are supported, and no hiredis.
$(FLOOR)/.done: pyproject.toml
	$(PYTHON) -m venv $(FLOOR)
	$(FLOOR)/bin/python -m pip install --quiet --upgrade pip
	$(FLOOR)/bin/python -m pip install --quiet --editable '.[adk,cli,embedded,langchain,mcp,security]' 'google-adk==2.0.0' 'redis==5.2.0' 'langchain-core==1.0.0' 'pydantic-settings==2.6.0' --group test
	@touch $@

demo: setup
	@echo "Open http://127.0.0.1:$(PORT) and choose demo_agent. Sessions are kept in ./.sojourn"
	$(BIN)/python -m sojourn adk web --port $(PORT) --session_service_uri=embedded:.sojourn $(AGENTS)

dev: setup
	$(BIN)/python -m sojourn adk web --port $(PORT) --session_service_uri=$(REDIS_URL) $(AGENTS)

test: setup test-floor
	$(BIN)/python -m pytest $(ARGS)

# On the oldest server, and where redis-py does more than connect.
test-floor: $(FLOOR)/.done
	TOPOLOGIES=redis-6.2,cluster $(FLOOR)/bin/python -m pytest tests --ignore tests/e2e --ignore tests/faults $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

# The peers want another redis-py, so they live apart.
$(BENCH)/.done: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade pip
	$(BENCH)/bin/python -m pip install --quiet --editable '.[adk,embedded,hiredis]' --group bench
	@touch $@

bench: $(BENCH)/.done
	$(BENCH)/bin/python -m bench $(ARGS)

# Random faults for MINUTES, checked; then how long recovery takes.
soak: setup
	PYTHONPATH=tests $(BIN)/python -m faults.soak --minutes $(or $(MINUTES),5) --seed $(or $(SEED),1)

clean:
	rm -rf $(VENV) $(FLOOR) $(BENCH) build dist
