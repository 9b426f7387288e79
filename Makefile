# Every target sets up what it needs by itself: a virtual environment in .venv with the locked packages.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
MINUTES ?= 3
HOURS ?= 10
ARGS ?=
# Twice the cores that it is kept to: most tests wait for sockets and stores for most of their time.
WORKERS ?= 4

.PHONY: help up test backtest coverage coverage-mirror properties compose-test lint bench soak simulate fuzz page-test screenshots docs dist dist-check lock clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

up: $(VENV)/ready  ## everything on this machine: store, two updaters, server (ARGS="--exchange simulator")
	@$(BIN)/depthcast up $(ARGS)

test: lint  ## lint, type-check, and run all tests (ARGS="-k book")
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

coverage: $(VENV)/ready  ## all tests, and what of the code they do not run (takes a third longer)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term:skip-covered $(ARGS)

coverage-mirror: $(VENV)/ready  ## whether each pure module is run whole by its own tests (ARGS="depthcast.sync")
	$(BIN)/python -m tests.packaging.mirror $(ARGS)

properties: $(VENV)/ready  ## the property tests at length: 50 times as many examples, other ones each time
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n $(WORKERS) --no-cov --timeout=3600 tests/properties $(ARGS)

compose-test: $(VENV)/ready  ## docker-compose.yml as a whole, with updaters and the store killed (needs Docker)
	$(BIN)/python tests/infra/compose_test.py

lint: $(VENV)/ready  ## ruff and mypy --strict
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(VENV)/ready  ## every measurement, each with its table and a last line of JSON
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	for name in book books rows orders dropin write capacity fairness latency warm shares read serve streams metadata heat tape travel; do $(BIN)/python -m bench.$$name $(ARGS) || exit 1; done

planted: $(VENV)/ready  ## mistakes planted in the product: how soon the simulation finds each (ARGS="--seeds 50")
	$(BIN)/python -m tests.simulation.planted $(ARGS)

soak: $(VENV)/ready  ## a fleet under disturbances, every file checked, a report and a plot (MINUTES=30)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m soak --minutes $(MINUTES) $(ARGS)

simulate: $(VENV)/ready  ## the whole system in virtual time, seed after seed, with a table at the end (HOURS=10)
	$(BIN)/python -m tests.simulation --hours $(HOURS) $(ARGS)

fuzz: $(VENV)/ready  ## chance against all that reads what comes from outside, for as long as you like (MINUTES=10)
	$(BIN)/python -m tests.fuzzing --minutes $(MINUTES) $(ARGS)

page-test: $(VENV)/ready  ## the live page in a headless Chromium, which has to be installed
	PAGE_TEST=required $(BIN)/python -m pytest --no-cov -s tests/server/page/test_browser.py $(ARGS)

screenshots: $(VENV)/ready  ## pictures of the live page, in docs/screens (needs Chromium)
	$(BIN)/python -m tests.server.page.screenshots $(ARGS)

backtest: $(VENV)/ready  ## hftbacktest, in an environment of its own, reads what depthcast export writes
	rm -rf build/backtest && mkdir -p build/backtest
	$(BIN)/python -m tests.packaging.backtest_check write build/backtest
	$(PYTHON) -m venv build/backtest/venv
	build/backtest/venv/bin/python -m pip install --quiet --disable-pip-version-check 'hftbacktest>=2.4,<3'
	build/backtest/venv/bin/python tests/packaging/backtest_check.py read build/backtest

docs: $(VENV)/ready  ## the documentation with its reference pages, as a site in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir site

dist: $(VENV)/ready  ## wheel and sdist, in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

dist-check: dist  ## the wheel with each extra in a clean environment of its own (needs the package index; minutes)
	PYTHONPATH=. $(BIN)/python tests/packaging/dist_check.py dist/*.whl $(ARGS)

lock: $(VENV)/ready  ## resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-header --output-file requirements.lock pyproject.toml

clean:  ## forget the virtual environment and what was built
	rm -rf $(VENV) dist build site .mypy_cache .ruff_cache .pytest_cache .coverage*
