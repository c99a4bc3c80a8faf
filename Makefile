PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q -c constraints.txt

.PHONY: install demo test fuzz audit docs package clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $@

$(DOCS_READY): $(READY)
	$(PIP) -e '.[docs]'
	touch $@

demo: install
	$(BIN)/python scripts/train_agent.py --algo dqn

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

fuzz: install
	$(BIN)/python scripts/fuzz.py --cases 10000

audit: install
	$(PIP) -e '.[docs,audit]'
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/installed.txt
	$(BIN)/python -m pip_audit --strict --no-deps --disable-pip \
		--requirement $(VENV)/installed.txt --requirement constraints.txt

docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

package: install
	$(BIN)/python scripts/check_package.py

clean:
	rm -rf $(VENV) *.egg-info build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
