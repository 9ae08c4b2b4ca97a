# `make demo` and `make test` need Python >= 3.11 and nothing else.
# Another interpreter: make demo PYTHON=/path/to/python3

RECENT = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name, python3.11 python3.12 python3.13 python3, \
    $(shell $(name) -c '$(RECENT)' 2>/dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ORACLES := $(VENV)/.oracles

.DEFAULT_GOAL := help
.PHONY: help demo install oracles lint test test-data test-all chaos bench clean

help:
	@echo 'make demo      install into .venv, then train and test a small 3-D UNet on generated data'
	@echo 'make test      lint, types, imports, and the tests that take seconds'
	@echo 'make test-data the tests among them that read real data from MEDLIGHT_DATA'
	@echo 'make test-all  the long ones too, and those that need heavy packages'
	@echo 'make chaos     kill runs (ROUNDS=20) and a sweep of 24 jobs at random, resume, compare'
	@echo 'make install | lint | bench | clean'

demo: install
	$(BIN)/python -m medlight experiment=seg_unet3d_quick data=phantom

install: $(INSTALLED)

# --no-compile: most modules of what is installed are never imported; Python compiles the others.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'medlight needs Python 3.11 or newer: none found; give one by PYTHON=...'; exit 1; }
	@$(PYTHON) -c '$(RECENT)' || { echo 'medlight needs Python 3.11 or newer: $(PYTHON) is older'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -n 2
	$(BIN)/lint-imports --no-logo

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m 'not slow'

test-data: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m 'data and not slow'

oracles: $(ORACLES)

$(ORACLES): $(INSTALLED)
	$(BIN)/python -m pip install --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev,oracles]'
	@touch $@

test-all: lint oracles
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

chaos: install
	MEDLIGHT_CHAOS=$(or $(ROUNDS),20) OMP_NUM_THREADS=1 $(BIN)/pytest -q -m slow -k random_moments tests/jobs
	OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/sweep/test_chaos.py

bench: install
	@for script in benchmarks/[a-z]*.py; do \
	    echo "== $$script"; $(BIN)/python "$$script" || exit 1; done
	$(BIN)/python benchmarks/render.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
