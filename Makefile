# Two commands do everything: `make run` and `make test`. Both create the environment themselves
# from the lock files; the only things needed beforehand are Python 3.11, make and a package index.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS ?= tests
# A dependency that must not speak to anyone is told so before it is imported.
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export TZ := UTC

.PHONY: run test check format lint imports types unit bench lock screenshots clean

run: $(VENV)/.runtime
	$(BIN)/ffl-risk demo

test: check unit

check: format lint imports types

format: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev
	$(BIN)/ruff check .

imports: $(VENV)/.dev
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev $(VENV)/.generator $(VENV)/.browser $(VENV)/.postgresql $(VENV)/.java
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks $(ONLY)

screenshots: $(VENV)/.dev $(VENV)/.browser
	$(BIN)/python -m tests.browser.screenshots

# The resolver runs over pyproject.toml; no address of an index is written into the result.
LOCK := $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --generate-hashes --quiet \
	--no-emit-index-url --no-emit-find-links --no-strip-extras --no-annotate --no-header
lock: $(VENV)/.dev
	$(LOCK) --extra build --upgrade --output-file requirements.lock
	$(LOCK) --all-extras --constraint requirements.lock --upgrade --output-file requirements-dev.lock
	echo openapi-python-client | $(subst pyproject.toml,-,$(LOCK)) --upgrade --output-file requirements-generator.lock

$(BIN)/python:
	@echo "Creating the environment in $(VENV) (once; some minutes)"
	@if command -v $(PYTHON) >/dev/null 2>&1; then $(PYTHON) -m venv $(VENV); else python3 -m venv $(VENV); fi

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what $< pins"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what $< pins"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

# A program that makes a client out of the API's document, in an environment of its own: what it
# is built on is older than what the service is built on.
$(VENV)/.generator: requirements-generator.lock | $(BIN)/python
	@echo "Installing what $< pins"
	@$(BIN)/python -m venv $(VENV)/generator
	@$(VENV)/generator/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

# The browser tests drive Debian's Chromium; it is installed when absent.
$(VENV)/.browser: | $(BIN)/python
	@command -v chromium >/dev/null 2>&1 || { \
		echo "Installing Chromium for the browser tests"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; }
	@touch $@

# The store's tests run a PostgreSQL server of their own; Debian's is installed when absent.
$(VENV)/.postgresql: | $(BIN)/python
	@ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || { \
		echo "Installing PostgreSQL for the store's tests"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; }
	@touch $@

# The tests of the distributed engine start Spark, which needs a Java runtime.
$(VENV)/.java: | $(BIN)/python
	@command -v java >/dev/null 2>&1 || { \
		echo "Installing a Java runtime for the tests of the Spark engine"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq default-jre-headless >/dev/null; }
	@touch $@

clean:
	rm -rf $(VENV) var dist build
