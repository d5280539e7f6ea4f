# make demo    the whole road on a small archive, in its own environment
# make test    set up, then check everything
# make docs    the documentation site, in docs/_build/html; runs the guides
# make help    all targets and settings
#
# Settings: VENV=path of the environment, PYTHON=interpreter (3.11 or newer), OUT=folder of the demo,
#           TORCH_INDEX=index to take torch from, for another build than the one pip is configured for.

VENV ?= .venv
PYTHON ?= python3
OUT ?= demo
TORCH_INDEX ?=

PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
RUNTIME = $(VENV)/.runtime-installed
DEVELOPMENT = $(VENV)/.development-installed
PAGES = $(VENV)/.documentation-installed
LISTS = pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help venv setup demo test check format docs

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7
	@echo "targets: demo test check docs format venv (runtime only) setup (with the tools of development)"

# The environment with what a run needs.
venv: $(RUNTIME)

# The same with linters, type checker and tests.
setup: $(DEVELOPMENT)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "QualityFM needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(LISTS) | $(VENV)/bin/python
ifneq ($(TORCH_INDEX),)
	$(PIP) install --quiet -c constraints.txt --index-url $(TORCH_INDEX) torch
endif
	$(PIP) install --quiet -c constraints.txt -e '.[torch,formats]'
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	$(PIP) install --quiet -c constraints.txt -e '.[torch,formats,remote,ray,serve,hub,onnx,export,lsl,dev]'
	@touch $@

demo: $(RUNTIME)
	$(VENV)/bin/qualityfm demo --out $(OUT)

test: check

check: $(DEVELOPMENT)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m pytest -rs --cov=qualityfm --cov-report=term:skip-covered

format: $(DEVELOPMENT)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

$(PAGES): $(RUNTIME)
	$(PIP) install --quiet -c constraints.txt -e '.[torch,formats,tasks,serve,docs]'
	@touch $@

# No warning passes. The guides work on simulated patients and see no real recordings.
docs: $(PAGES)
	env -u QUALITYFM_DATA PATH="$(abspath $(VENV))/bin:$$PATH" \
	  $(VENV)/bin/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"
