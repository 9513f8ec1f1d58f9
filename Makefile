# make app    set up, then serve the dashboard on the sample data
# make test   set up, then run the whole test suite
# make lint   check style and formatting

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 5006

.PHONY: app test lint format bench clean

app: $(VENV)/.app
	$(BIN)/ldml serve --port $(PORT)

test: $(VENV)/.test
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup  # a core for each process

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.reference
	$(BIN)/python -m benchmarks.local_entropies
	$(BIN)/python -m benchmarks.green
	$(BIN)/python -m benchmarks.descriptors

clean:
	rm -rf $(VENV) build dist dashboards/viewer/*.bundle.js
	find ldml dashboards tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ldml needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.app: $(VENV)/bin/python pyproject.toml hatch_build.py dashboards/viewer/ngl_atoms.js
	$(BIN)/python -m pip install --quiet --editable '.[app]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml hatch_build.py dashboards/viewer/ngl_atoms.js
	$(BIN)/python -m pip install --quiet --editable '.[app,test]'
	@touch $@ $(VENV)/.app
