# Each target sets itself up: a .venv of this checkout's own, installed once and again only when pyproject.toml or
# constraints.txt changed. PYTHON chooses the interpreter (3.11 or later), PIP_ARGS adds options to pip's command line.

PYTHON   ?= python3
PIP_ARGS ?=
VENV     := .venv
BIN      := $(VENV)/bin
LOCKED   := constraints.txt
SITE     := site
JOBS     ?= 2

# What an environment of a framework's own takes, with the CUDA libraries: `make gpu`.
GPU_pytorch    := torch keras torchvision timm
GPU_tensorflow := 'tensorflow[and-cuda]'
GPU_jax        := 'jax[cuda13]' flax keras
GPU_worker     := numpy msgspec psutil safetensors nvidia-ml-py

# Files of tests side by side, but for the tests marked `alone`. pytest-benchmark measures nothing beside others, and
# would warn.
JOBS_ARGS := -n $(JOBS) --dist loadfile --benchmark-skip

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help bench nightly claims site gpu test slow lint tools clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 15

bench: $(VENV)/installed  ## install, measure the quick preset (12 cases), print the headline, write the site
	@$(BIN)/xibench run --preset quick
	@$(BIN)/xibench report

nightly: $(VENV)/installed  ## measure the nightly preset (36 cases, 3 processes each, interleaved) and write the site
	@$(BIN)/xibench run --preset nightly
	@$(BIN)/xibench report

claims: $(VENV)/installed-dev  ## measure what the README claims, into results/reference; hours, goes on where it was stopped
	@$(BIN)/python -m benches.claims --all --keep

site: $(VENV)/installed  ## write the site from the runs in results/runs
	@$(BIN)/xibench report

gpu: .venvs/pytorch/installed .venvs/tensorflow/installed .venvs/jax/installed  ## an environment per framework with its CUDA libraries, some 10 GB; PIP_ARGS=--dry-run resolves them only

test: $(VENV)/installed-dev tools lint  ## ruff, mypy and the tests; needs git and chromium
	@$(BIN)/python -m pytest -m "not slow and not alone" $(JOBS_ARGS)
	@$(BIN)/python -m pytest -m "alone and not slow"

slow: $(VENV)/installed-dev  ## the tests that take minutes each: every variant's proof and measurement
	@$(BIN)/python -m pytest -m slow -n $(JOBS) --dist load --benchmark-skip

lint: $(VENV)/installed-dev  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

clean:  ## remove what make and the tools wrote; keeps results/ and .venvs
	rm -rf $(VENV) $(SITE) .asv build dist .pytest_cache .mypy_cache .ruff_cache .benchmarks .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xibench needs Python 3.11 or later, \
	this is %d.%d: make PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/installed: pyproject.toml $(LOCKED) | $(VENV)/bin/python
	@echo "installing xibench, PyTorch, TensorFlow and JAX into $(VENV) (some minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(LOCKED) -e '.[all]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(LOCKED) -e '.[all,dev]'
	@touch $@

# A dry run of pip is made in an environment of its own, and leaves no mark.
.venvs/%/installed: $(LOCKED)
	@echo "installing $* and its CUDA libraries into .venvs/$*"
	@case "$(PIP_ARGS)" in *--dry-run*) where=$$(mktemp -d);; *) where=.venvs/$*;; esac; \
	$(PYTHON) -m venv $$where && $$where/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOCKED) \
	  $(PIP_ARGS) $(GPU_$*) $(GPU_worker); code=$$?; \
	if [ $$where != .venvs/$* ]; then rm -rf $$where; [ $$code = 0 ] && echo "$*: resolved"; exit $$code; fi; \
	[ $$code = 0 ] && touch $@

# The tests let asv measure a commit, and open the site in a browser; XIBENCH_NO_BROWSER=1 leaves the latter out.
tools:
	@has() { for name; do command -v $$name >/dev/null && return; done; false; }; \
	lacking=; \
	has git || lacking=git; \
	[ "$$XIBENCH_NO_BROWSER" = 1 ] || has chromium chromium-browser google-chrome || lacking="$$lacking chromium"; \
	if [ -z "$$lacking" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && has apt-get; then \
	  echo "installing from the system's packages:" $$lacking; apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$lacking >/dev/null; \
	else \
	  echo "the tests lack" $$lacking; echo "on Debian and Ubuntu: sudo apt-get install" $$lacking; \
	  echo "make test XIBENCH_NO_BROWSER=1 needs no chromium"; exit 1; \
	fi >&2
