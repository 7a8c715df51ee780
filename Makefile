# make demo: run the product.  make test: set up and pass every test.  make soak: the large counts.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SOAK   ?= 10
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test lint bench soak lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/.runtime
	$(BIN)/wattledger demo $(DEMO)

test: $(VENV)/.dev
	@.ci/packages
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench $(BENCH)

soak: $(VENV)/.dev
	@.ci/packages
	SOAK=$(SOAK) $(BIN)/python -m pytest -s --timeout 0 tests/faults/test_kill.py tests/drivers/test_guard.py

$(VENV)/bin/python:
	@PYTHON=$(PYTHON) .ci/python $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

# The lock names no index: the machine's own pip configuration decides where packages come from.
lock:
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet pip-tools==7.6.2
	build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
	  --no-emit-find-links --no-annotate -o requirements.lock pyproject.toml .ci/build-requires.in
	build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-index-url \
	  --no-emit-find-links --no-annotate --extra dev -o requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
