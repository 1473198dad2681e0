# Two commands on a fresh machine that has Python 3.11 or newer, and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# One thread a process: two test workers with two threads each on two cores would wait for one another.
test html: export OMP_NUM_THREADS ?= 1

.PHONY: demo test lab html binder lint clean

demo: $(VENV)/.models
	$(BIN)/recover-nb demo --out runs

# One process runs the whole of a file: the tests of one share a page, a cluster or an executed notebook.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile

lab: $(VENV)/.lab
	$(BIN)/jupyter lab --FileContentsManager.preferred_dir=notebooks

# Every notebook as a page that opens without a network: runs/html/index.html.
html: $(VENV)/.lab
	$(BIN)/python docs/pages.py runs/html

# What mybinder.org installs, from pyproject.toml; and the badges of this copy (REPO=OWNER/NAME where git cannot tell).
binder: $(VENV)/.lab
	$(BIN)/python binder/pin.py
	$(BIN)/python binder/badges.py $(if $(REPO),--repo $(REPO))

lint: $(VENV)/.dev
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) runs

# One stamp for each set of extras: nothing is installed twice until pyproject.toml changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "recover_nb needs Python 3.11 or newer; say which with: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.models: $(VENV)/.made pyproject.toml
	@echo "installing recover_nb with its models (a few minutes the first time) ..."
	$(PIP) install --editable '.[models]'
	@touch $@

$(VENV)/.test: $(VENV)/.models
	$(PIP) install --editable '.[models,test]'
	@touch $@

$(VENV)/.lab: $(VENV)/.models
	$(PIP) install --editable '.[models,lab,io]'
	@touch $@

$(VENV)/.dev: $(VENV)/.models
	$(PIP) install --editable '.[models,test,dev]'
	@touch $@
