# make demo    a complete experiment on two CPU cores, with drawn sample data
# make test    all tests except those that need a GPU or the internet
# make check   style, types, import rules, wording
# make bench   the benchmarks, as ratios
# Each of them first installs everything into .venv. With another Python: make demo PYTHON=python3.12
# The tests run in two processes; in one: make test WORKERS=0

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
INSTALLED := .venv/installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check bench

demo: $(INSTALLED)
	$(BIN)/rsvlm run demo
	@echo "The report: $(CURDIR)/workspace/runs/demo/reports/final/report.html"

test: $(INSTALLED)
	$(BIN)/pytest -m "not gpu and not network" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/support/wording.py

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/run.py

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
