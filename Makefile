# `make run` and `make test` do everything. Both make the environment themselves from the lock files;
# needed beforehand are only Python 3.11, make and a package index. INSTALLER=pip leaves uv out.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
TESTS ?=
INSTALL := $(PYTHON) tools/environment.py --into $(VENV) $(addprefix --with ,$(INSTALLER))
# A dependency that must not speak to anyone is told so before it is imported.
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export TZ := UTC
# Empty is unset: hundreds of processes start here, and where a machine forbids to keep what was
# compiled each of them compiles every module again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run install test test-fast check format lint imports types dead unit coverage bench docs notebooks lock \
	migration hooks screenshots clean

run: $(VENV)/.runtime
	$(BIN)/ffl-risk demo

install: $(VENV)/.runtime

# Both at a time: types and imports are checked on what the tests leave free.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs=2 check unit

check: format lint imports types dead

format: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev
	$(BIN)/ruff check .

imports: $(VENV)/.dev
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

dead: $(VENV)/.dev
	$(BIN)/python tools/dead_code.py

# One process more than two cores, for tests wait for servers and browsers; a group of tests runs in
# one of them, and the groups in the order that tests/conftest.py gives.
PROCESSES ?= 3
SHARED := -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder
unit: $(VENV)/.dev $(VENV)/.generator $(VENV)/.browser $(VENV)/.postgresql $(VENV)/.java $(VENV)/.tools
	$(BIN)/python -m pytest $(SHARED) $(TESTS)

# What needs no browser, no server and no Java, and for which nothing large is built first.
# It waits for nobody: as many processes as there are cores, for each reads all tests first.
FAST := not (slow or built or browser or spark or postgresql or install)
test-fast: PROCESSES := auto
test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest $(SHARED) -m "$(FAST)" $(TESTS)

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks $(ONLY)

notebooks: $(VENV)/.dev
	$(BIN)/python tools/notebooks.py $(NAME)

docs: $(VENV)/.dev
	$(BIN)/python tools/site.py build/docs

# Lines and branches that the tests run in their own processes.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest $(SHARED) -m "not (slow or browser or spark or postgresql or install)" \
		--cov --cov-report=term:skip-covered $(TESTS)

screenshots: $(VENV)/.dev $(VENV)/.browser
	$(BIN)/python -m tests.browser.screenshots

# make migration NAME="keep plans": what the store's tables need, written down by Alembic.
migration: $(VENV)/.dev
	$(BIN)/python tools/migration.py "$(NAME)"
	@$(BIN)/ruff format --quiet serving/store/migrations

hooks: $(VENV)/.dev
	$(BIN)/pre-commit install

# The resolver runs over pyproject.toml; no address of an index is written into the result, and
# extras are kept: without them an installer would have to resolve each of them again.
RESOLVE := --python-version 3.11 --generate-hashes --quiet --upgrade --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header
LOCK := $(BIN)/uv pip compile $(RESOLVE)
lock: $(VENV)/.dev
	$(LOCK) pyproject.toml --extra build --output-file requirements.lock >/dev/null
	$(LOCK) pyproject.toml --all-extras --constraint requirements.lock --output-file requirements-dev.lock >/dev/null
	echo uv | $(LOCK) - --constraint requirements-dev.lock --output-file requirements-uv.lock >/dev/null
	echo openapi-python-client | $(LOCK) - --output-file requirements-generator.lock >/dev/null

ENVIRONMENT := tools/environment.py requirements-uv.lock
$(VENV)/.runtime: requirements.lock pyproject.toml $(ENVIRONMENT)
	@$(INSTALL) runtime
	@$(BIN)/ffl-risk warm-up
	@touch $@

# It holds what the runtime needs, too: `make run` after `make test` installs nothing.
$(VENV)/.dev: requirements-dev.lock requirements.lock pyproject.toml $(ENVIRONMENT)
	@$(INSTALL) development
	@$(BIN)/ffl-risk warm-up
	@touch $@ $(VENV)/.runtime

# A program that makes a client out of the API's document, in an environment of its own: what it
# is built on is older than what the service is built on.
$(VENV)/.generator: requirements-generator.lock $(ENVIRONMENT) | $(VENV)/.dev
	@$(PYTHON) tools/environment.py --into $(VENV)/generator $(addprefix --with ,$(INSTALLER)) generator
	@touch $@

# $(call debian,is it there,its package,which tests need it): Debian's package is installed when
# absent; where that cannot be done the message says what to do instead.
define debian
	@$(1) >/dev/null 2>&1 || { \
		echo "Installing $(2), which $(3) need"; \
		if ! command -v apt-get >/dev/null 2>&1; then \
			echo "make: there is no apt-get here to install $(2) with. Install it by other means, or run" \
				"\`make test-fast\`, which leaves $(3) out." >&2; exit 1; \
		elif ! { apt-get update -qq && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(2) >/dev/null; }; then \
			echo "make: $(2) could not be installed (it takes root and a mirror of Debian). Install it by" \
				"other means, or run \`make test-fast\`, which leaves $(3) out." >&2; exit 1; \
		fi; }
	@touch $@
endef

$(VENV)/.browser: | $(VENV)/.dev
	$(call debian,command -v chromium,chromium,the browser tests)

$(VENV)/.postgresql: | $(VENV)/.dev
	$(call debian,ls /usr/lib/postgresql/*/bin/pg_ctl,postgresql,the tests of the store on PostgreSQL)

$(VENV)/.java: | $(VENV)/.dev
	$(call debian,command -v java,default-jre-headless,the tests of the Spark engine)

# What checks the recipes of deploy/: unpacked beside the environment, so that nothing is installed or
# started on this machine. Without them the tests that need them are skipped, and say so.
$(VENV)/.tools: | $(VENV)/.dev
	@mkdir -p $(VENV)/tools && cd $(VENV)/tools && { apt-get update -qq && apt-get download -qq prometheus nginx \
		&& for package in *.deb; do dpkg -x "$$package" .; done && rm *.deb; } >/dev/null 2>&1 \
		|| echo "make: promtool and nginx could not be unpacked; their tests are skipped" >&2
	@touch $@

clean:
	rm -rf $(VENV) var dist build
