# Every target sets up what it needs; `make demo` and `make test` are all a fresh machine takes.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
OUT ?= outputs

# Test workers, for a machine of two cores: tests that start Ray wait more than they compute, four only for one another.
WORKERS ?= 3
FAST_WORKERS ?= 2

SWEEPS ?= 20
SIMULATIONS ?= 200

.PHONY: setup demo test check lint fast chaos verdicts bench ui clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed. Set PYTHON to a Python 3.11 or newer."; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[events,cluster,dashboard,vectors,tracking-server,dev]'
	@touch $@

demo: setup  ## the 3 x 3 grid on real events: verdicts in the terminal, report and MLflow store under outputs/
	$(BIN)/sweeps run compare_globals_heads --out $(OUT)

test: setup  ## everything, slow tests too
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal

check: setup  ## formatting, lint, types, import contracts, fast tests; both halves at once
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint fast

lint: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports

fast: setup
	$(BIN)/python -m pytest -m "not slow" --numprocesses=$(FAST_WORKERS) --dist=worksteal

chaos: setup  ## twenty sweeps under random faults, and a search that is killed ten times; about half an hour
	$(BIN)/python -m tests.chaos --sweeps $(SWEEPS) --results benchmarks/results/chaos.json
	KILLS=10 $(BIN)/python -m pytest tests/sweeps/test_search_resume.py

verdicts: setup  ## simulated sweeps with known answers, written to docs/verdict-quality.md and docs/deciding.md; half an hour
	$(BIN)/python -m tests.verdicts --simulations $(SIMULATIONS)
	$(BIN)/python -m tests.verdicts.deciding

bench: setup  ## ratios within one run, written to benchmarks/results/latest.json
	$(BIN)/python -m benchmarks.run

ui: setup  ## MLflow's UI over the embedded store
	$(BIN)/sweeps ui --out $(OUT)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
