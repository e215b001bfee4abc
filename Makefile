# Two commands do everything on a fresh machine: `make demo` and `make test`. They need Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Every target that needs the environment depends on this stamp: it is made anew when the lock changes.
STAMP := $(VENV)/.installed
# Images often forbid compiled modules, to stay small; our processes start hundreds of times, and would compile us each time.
export PYTHONDONTWRITEBYTECODE :=

# Two processes, each with an Apache Kafka of its own: whoever was killed is waited for half of the time.
TWO := -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: help install demo test test-slow properties test-kafka test-long test-console faults soak bench bench-reports bench-backtest lint format clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(STAMP) ## everything into .venv, as locked

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing into $(VENV) (about a minute) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(STAMP) ## the shipped sample through the whole pipeline
	$(BIN)/journey demo

test: $(STAMP) ## everything that needs neither Java nor Docker, but for what takes long
	$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder -m "not kafka and not slow and not long" tests/unit tests/property tests/integration tests/e2e

test-slow: $(STAMP) ## what takes long: whole stories through the command line, most of 200 orders, every command in the documents, guards taken out
	$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder -m "slow and not kafka" tests

properties: $(STAMP) ## the property tests with four times as many examples
	JOURNEY_TEST_EFFORT=$${JOURNEY_TEST_EFFORT:-4} $(BIN)/python -m pytest -n 2 -m "not long" tests/property

test-kafka: $(STAMP) ## faults and the same again on Apache Kafka (needs Java 17 and Maven)
	$(BIN)/python -m pytest $(TWO) -m "kafka and not matrix" tests

test-long: $(STAMP) ## reports of ten thousand prospects, 50,000 events end to end, dbt on our tables
	$(BIN)/python -m pytest -m long tests

faults: $(STAMP) ## the fault matrix and its mutations on Apache Kafka (needs Java 17 and Maven)
	$(BIN)/python -m pytest $(TWO) -m matrix tests/faults

soak: $(STAMP) ## the fault matrix for hours; JOURNEY_SOAK_SEEDS=1-100 says how many
	$(BIN)/python -m pytest tests/faults/soak.py tests/faults/soak_alerts.py

test-console: $(STAMP) ## the console in a real browser (needs Chromium: apt-get install chromium)
	$(BIN)/python -m pytest -n 0 -m chromium tests/console

bench: $(STAMP) ## measure, beside what one would use instead
	$(BIN)/python -m benchmarks

bench-reports: $(STAMP) ## reports on ten million prospects, beside raw events (half an hour, 15 GB)
	$(BIN)/python -m benchmarks.reports

bench-backtest: $(STAMP) ## rules tried on a million events, in under a minute
	$(BIN)/python -m benchmarks.backtest

lint: $(STAMP) ## ruff, mypy, import-linter, schema compatibility
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.compatibility

format: $(STAMP) ## as the linter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## what was built and what demos left
	rm -rf $(VENV) .bench-venv .journey .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
