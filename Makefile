# make demo       a complete experiment on two CPU cores, with drawn sample data
# make test       the quick tests: about six minutes on two cores
# make test-slow  the tests of whole runs, servers, kills and browsers; make test-all: both
# make check      style, types, import rules, wording
# make bench      the benchmarks, as ratios
# make gpu        the tests and the benchmark that need a GPU
# make full-size  a model of 7B on a CPU, with random weights: 24 GB of memory, 60 GB of disk, 20 minutes or hours
# Each of them first installs everything into .venv. With another Python: make demo PYTHON=python3.12
# The tests run in two processes; in one: make test WORKERS=0

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
INSTALLED := .venv/installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow test-all check bench gpu full-size

ELSEWHERE := not gpu and not network and not full_size
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

demo: $(INSTALLED)
	$(BIN)/rsvlm run demo
	@echo "The report: $(CURDIR)/workspace/runs/demo/reports/final/report.html"

test: $(INSTALLED)
	$(PYTEST) -m "not slow and $(ELSEWHERE)"

test-slow: $(INSTALLED)
	$(PYTEST) -m "slow and $(ELSEWHERE)"

test-all: test test-slow

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/support/wording.py

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/run.py

gpu: $(INSTALLED)
	$(BIN)/pytest -m gpu
	$(BIN)/python tests/benchmarks/gpu.py

full-size: $(INSTALLED)
	$(BIN)/pytest -s -m full_size tests/full_size

$(INSTALLED): pyproject.toml infra/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "rsvlm needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true):" \
			"install one and name it, e.g. make demo PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { \
		echo "$(PYTHON) cannot create a virtual environment: install its venv module" \
			"(Debian: apt install python3-venv)" >&2; exit 2; }
	@echo "Installing into .venv; this takes some minutes."
	@echo "  PyTorch ..."
	@$(BIN)/pip install --quiet -c infra/constraints.txt torch
	@echo "  rsvlm and the other packages ..."
	@# the build backend warns about every editable installation
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet -c infra/constraints.txt -e '.[dev,hf,serve,s3]'
	@touch $@
