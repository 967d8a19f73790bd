# Each target installs what it needs into the checkout's .venv, once and again after a change of pyproject.toml or
# constraints.txt. PYTHON selects the interpreter (3.11 or later), and PIP_ARGS adds options to the command line of pip.

PYTHON   ?= python3
PIP_ARGS ?=
VENV     := .venv
BIN      := $(VENV)/bin
LOCKED   := constraints.txt
SITE     := site
JOBS     ?= 2
BUDGET   ?= 540

# Of `make nightly`: the machine's name, the commits that asv measures, the preset, the remote with the kept results.
MACHINE  ?= $(shell uname -n)
RANGE    ?= HEAD^!
PRESET   ?= nightly
REMOTE   ?=
BASE     ?= HEAD~1
COMPARED := -m xception,inception_v3 --recipe tuned --batch 1
REMOTE_ARG = $(if $(REMOTE),--remote $(REMOTE))

# Packages of the separate environments, one per framework, with the CUDA libraries. torchvision is built for one
# version of torch; timm's own dependencies are for downloading weights, which nothing here does.
GPU_pytorch    := torch==2.14.1 torchvision==0.29.1 keras
ALONE_pytorch  := timm==1.0.31
UNLOCKED       := ^torch==
GPU_tensorflow := 'tensorflow[and-cuda]'
GPU_jax        := 'jax[cuda13]' flax keras
GPU_worker     := numpy msgspec psutil safetensors nvidia-ml-py

# Test files run in parallel, except tests marked `alone`. --benchmark-skip, because pytest-benchmark does not measure
# under pytest-xdist and would warn.
JOBS_ARGS := -n $(JOBS) --dist loadfile --no-loadscope-reorder --benchmark-skip

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help bench nightly nightly-restore nightly-measure nightly-history nightly-site nightly-keep nightly-tell compare claims site third-party gpu gpu-reference test slow lint tools clean

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

bench: $(VENV)/installed  ## install, measure the quick preset (12 cases), print the headline, write the site
	@$(BIN)/xibench run --preset quick
	@$(BIN)/xibench report

# The steps of .github/workflows/nightly.yml. The machine keeps its name, under which asv and `history` find its nights.
nightly: nightly-restore nightly-measure nightly-history nightly-site nightly-keep nightly-tell  ## a night: asv on new commits, the nightly preset, history with confirmation, the site; takes hours (MACHINE, RANGE, PRESET, REMOTE)

nightly-restore: $(VENV)/installed-suites
	@$(BIN)/python -m benches.nightly restore $(REMOTE_ARG)

nightly-measure: $(VENV)/installed-suites
	@$(BIN)/xibench doctor --asv-machine $(MACHINE)
	@$(BIN)/asv run --machine $(MACHINE) --record-samples --skip-existing-successful $(ASV_ARGS) '$(RANGE)'
	@$(BIN)/xibench run --preset $(PRESET) $(RUN_ARGS)

nightly-history: $(VENV)/installed-suites
	@$(BIN)/python -m benches.nightly history results/asv --confirm

nightly-site: $(VENV)/installed-suites
	@$(BIN)/xibench report --history results/asv
	@$(BIN)/asv publish --html-dir $(SITE)/asv

nightly-keep: $(VENV)/installed-suites
	@$(BIN)/python -m benches.nightly keep $(REMOTE_ARG)

nightly-tell: $(VENV)/installed-suites
	@$(BIN)/python -m benches.nightly tell $(TELL_ARGS)

# The comment for a pull request; there is none if nothing became slower or faster. Exit code 2 of make: slower.
compare: $(VENV)/installed  ## compare the working tree with the commit BASE on a short list of cases (ARGS: options of `xibench ab`)
	@mkdir -p $(SITE)
	@$(BIN)/xibench ab --base git:$(BASE) $(COMPARED) --markdown $(ARGS) > $(SITE)/compare.md; code=$$?; \
	cat $(SITE)/compare.md; head -n 1 $(SITE)/compare.md | grep -Eq ' [0-9]+ (slower|faster)' || rm $(SITE)/compare.md; \
	exit $$code

claims: $(VENV)/installed-dev  ## measure the claims of the README into results/reference; takes hours, can be interrupted and resumed
	@$(BIN)/python -m benches.claims --all --keep

site: $(VENV)/installed  ## write the site from the runs in results/runs
	@$(BIN)/xibench report

third-party: $(VENV)/installed .venvs/pytorch/installed  ## install torchvision and timm with the PyTorch that they are built for, 5.6 GB, in .venvs/pytorch

gpu: .venvs/pytorch/installed .venvs/tensorflow/installed .venvs/jax/installed  ## create one environment per framework with its CUDA libraries, about 10 GB; PIP_ARGS=--dry-run only resolves them

gpu-reference: $(VENV)/installed  ## measure a reference on a GPU within BUDGET seconds (540), the most valuable part first; again: go on
	@$(BIN)/python -m benches.gpu_reference --budget $(BUDGET)

test: $(VENV)/installed-dev tools lint  ## run lint and the tests; needs git and chromium
	@$(BIN)/python -m pytest -m "not slow and not alone" $(JOBS_ARGS)
	@$(BIN)/python -m pytest -m "alone and not slow"

slow: $(VENV)/installed-dev  ## run the tests that take longer: all of verification, every variant, every way to measure
	@$(BIN)/python -m pytest -m "slow and not alone" $(JOBS_ARGS)
	@$(BIN)/python -m pytest -m "slow and alone"

lint: $(VENV)/installed-dev  ## run ruff, mypy and the check of names and phrases (tests/wording.txt); needs git
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.wording

clean:  ## remove everything that make and the tools created, except results/ and .venvs
	rm -rf $(VENV) $(SITE) .asv build dist .pytest_cache .mypy_cache .ruff_cache .benchmarks .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xibench needs Python 3.11 or later, \
	this is %d.%d: make PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot create a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/installed: pyproject.toml $(LOCKED) | $(VENV)/bin/python
	@echo "installing xibench, PyTorch, TensorFlow and JAX into $(VENV) (takes minutes, only once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(LOCKED) -e '.[all]'
	@touch $@

$(VENV)/installed-suites: $(VENV)/installed
	@echo "installing asv and pytest-benchmark into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(LOCKED) -e '.[all,suites]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing the test dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(LOCKED) -e '.[all,dev]'
	@touch $@

# A dry run of pip uses a temporary environment and does not create the target.
.venvs/%/installed: $(LOCKED)
	@echo "installing $* and its CUDA libraries into .venvs/$* (takes minutes, only once)"
	@case "$(PIP_ARGS)" in *--dry-run*) where=$$(mktemp -d);; *) where=.venvs/$*;; esac; \
	pip="$$where/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)"; \
	$(PYTHON) -m venv $$where && grep -v '$(UNLOCKED)' $(LOCKED) > $$where/constraints.txt && \
	$$pip -c $$where/constraints.txt $(GPU_$*) $(GPU_worker) && \
	{ [ -z "$(ALONE_$*)" ] || $$pip --no-deps $(ALONE_$*); }; code=$$?; \
	if [ $$where != .venvs/$* ]; then rm -rf $$where; [ $$code = 0 ] && echo "$*: resolved"; exit $$code; fi; \
	[ $$code = 0 ] && touch $@

# The tests run asv on a commit and open the site in a browser; XIBENCH_NO_BROWSER=1 skips the latter.
tools:
	@has() { for name; do command -v $$name >/dev/null && return; done; false; }; \
	missing=; \
	has git || missing=git; \
	[ "$$XIBENCH_NO_BROWSER" = 1 ] || has chromium chromium-browser google-chrome || missing="$$missing chromium"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && has apt-get; then \
	  echo "installing from the system's packages:" $$missing; apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
	  echo "the tests need" $$missing; echo "on Debian and Ubuntu: sudo apt-get install" $$missing; \
	  echo "make test XIBENCH_NO_BROWSER=1 does not need chromium"; exit 1; \
	fi >&2
