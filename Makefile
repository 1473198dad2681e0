# Two commands on a fresh machine that has Python 3.11 or newer, and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LATEST := .venv-latest

# What is installed: locks of every version, with hashes, and torch apart, because its build differs by machine. On Linux
# the public index has the build for GPUs (3 GB), so a machine that shows none takes the one for processors from PyTorch;
# where that index cannot be reached, pip goes on without. Another build: make demo TORCH_INDEX=ADDRESS, or nothing after
# the = for the public one.
LAB_LOCK := binder/requirements.txt
TEST_LOCK := tests/requirements.txt
TORCH_LOCK := binder/torch.txt
TORCH_INDEX ?= $(shell [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && echo https://download.pytorch.org/whl/cpu)
FROM_INDEX = $(if $(TORCH_INDEX),--retries 2 --extra-index-url $(TORCH_INDEX))

# One thread a process: two test workers with two threads each on two cores would wait for one another.
test test-slow latest docs: export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-slow test-all lab html door docs picture screenshots stub data binder lint latest lock clean

demo: $(VENV)/.lab
	$(BIN)/recover-nb demo --out runs

# One process runs the whole of a file: the tests of one share a page, a cluster or an executed notebook.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

# Every day: one of each kind.
test: $(VENV)/.test
	$(PYTEST) -m 'not slow'

# The rest: every pair and every write, simulations, all notebooks, JupyterLab in a browser.
test-slow: $(VENV)/.test
	$(PYTEST) -m slow

# make -k test-all runs the slow ones even if others fail.
test-all: test test-slow

# The newest releases, which nothing locks: a warning of theirs is reported, and one that our own lines cause is an error.
# torch stays at the locked version, because a newer one would bring gigabytes; another: make latest TORCH=torch==2.14.1
SMOKE := tests/generation/decoding tests/features/test_signals.py tests/features/test_features.py tests/charts/test_charts.py tests/test_import.py \
  tests/io/test_io_formats.py tests/core/test_schema.py tests/generation/test_study.py tests/test_notebooks.py

latest: $(LATEST)/.made
	$(LATEST)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps $(FROM_INDEX) $(or $(TORCH),-r $(TORCH_LOCK))
	$(LATEST)/bin/python -m pip --disable-pip-version-check --quiet install --upgrade --upgrade-strategy eager \
	  $(if $(TORCH),,-c $(TORCH_LOCK)) --editable '.[models,test]'
	PYTHONPATH=tests $(LATEST)/bin/python -m pytest -p newest_releases -n auto --dist loadfile -m 'not browser' $(SMOKE)

# The front door, with its picture already in it: runs/start.ipynb.
# Lab asks no host for news or updates.
lab: $(VENV)/.lab
	$(BIN)/python docs/door.py
	$(BIN)/jupyter lab --FileContentsManager.preferred_dir=notebooks --LabApp.default_url=/lab/tree/runs/start.ipynb \
	  --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

# The same as a page for any browser, without a kernel or a network: runs/index.html. After make docs it leads there.
html: $(VENV)/.lab
	$(BIN)/python docs/door.py

# What the front door shows of the bundled study, anew: data/front_door.json.
door: $(VENV)/.lab
	$(BIN)/python docs/door.py --record

# The documentation, notebooks and their pictures included, for a browser without a network: runs/docs/index.html.
docs: $(VENV)/.lab $(VENV)/.dev
	$(BIN)/python docs/pages.py runs/docs-build/source
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d runs/docs-build/trees runs/docs-build/source runs/docs

# The picture of the rooms, made from the imports and held to them by a test.
picture: $(VENV)/.lab
	$(BIN)/python docs/house.py

# The pictures in the README, taken in a browser.
screenshots: $(VENV)/.test
	$(BIN)/python docs/screenshot.py

# The stub that editors and type checkers read, made from the table of public names.
stub: $(VENV)/.lab
	$(BIN)/python tests/stub.py

# The shipped data but for checkpoints and examples, anew: an hour and a half on two cores. It says how long; RESUME=1
# goes on.
data: $(VENV)/.test
	BIN=$(BIN) RESUME=$(RESUME) sh data/make.sh

# The Binder badges of this copy (REPO=OWNER/NAME where git cannot tell).
binder: $(VENV)/.made
	$(BIN)/python binder/badges.py $(if $(REPO),--repo $(REPO))

# Both locks from pyproject.toml, for every Python and platform. What is still allowed stays; all anew: make lock UPGRADE=1
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest \
  --generate-hashes --no-emit-package torch --no-emit-index-url --custom-compile-command 'make lock' \
  --constraints $(TORCH_LOCK) $(if $(UPGRADE),--upgrade)

lock: $(VENV)/.made
	$(PIP) install $(or $(shell sed -n 's/^\(uv==[^ ]*\).*/\1/p' $(TEST_LOCK)),uv)
	$(LOCK) --extra models --extra test --group pyproject.toml:dev --output-file $(TEST_LOCK)
	$(LOCK) --extra models --extra lab --extra io --group pyproject.toml:build --constraints $(TEST_LOCK) \
	  --output-file $(LAB_LOCK)

# Format, names and imports, types. A type error that is mended leaves the baseline by itself; a new one fails.
lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

clean:
	rm -rf $(VENV) $(LATEST) runs

$(VENV)/.made $(LATEST)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "recover_nb needs Python 3.11 or newer; say which with: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)
	@touch $@

# A stamp for each lock: nothing is installed twice until it changes. The package itself brings nothing with it. A lock is
# whole but for torch, which comes after it, so what needs torch may not ask for it here.
define install
$(PIP) install --no-deps --require-hashes -r $(1)
$(PIP) install $(FROM_INDEX) -r $(TORCH_LOCK)
$(PIP) install --no-deps --no-build-isolation --editable .
@touch $@
endef

$(VENV)/.lab: $(VENV)/.made $(LAB_LOCK) $(TORCH_LOCK) pyproject.toml
	@echo "installing recover_nb with its models (a few minutes the first time) ..."
	$(call install,$(LAB_LOCK))

$(VENV)/.test: $(VENV)/.made $(TEST_LOCK) $(TORCH_LOCK) pyproject.toml
	@echo "installing recover_nb with its models and tests (a few minutes the first time) ..."
	$(call install,$(TEST_LOCK))

# The tools of a checkout are in the same lock as the tests.
$(VENV)/.dev: $(VENV)/.test
	@touch $@
