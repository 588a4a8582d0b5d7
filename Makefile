# Two commands do everything: `make run` and `make test`. Both create the environment themselves.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export FFL_RISK_HOME ?= var
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export TZ := UTC

.PHONY: run test format lint types imports unit wheel bench lock clean screenshots

run: $(VENV)/.runtime
	$(BIN)/ffl-risk demo

$(BIN)/python:
	command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
