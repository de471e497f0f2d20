# Everything a person types. `make` alone lists it.
#   make quickstart                     train and evaluate on this machine
#   make quickstart SEED=7              the same with another seed, in folders of its own
#   make install TORCH_INDEX=<URL>      take torch from a wheel index of CPU builds (where plain torch means CUDA)
#   make install PYTHON=python3.12      choose the interpreter (3.11 to 3.13)

VENV ?= .venv
PYTHON ?= python3
TORCH_INDEX ?=
SEED ?= 42
SKYRL_PYTHON ?= python3.12
PYTEST_ARGS ?=

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
CONSTRAINTS := constraints/cpu.txt
TORCH := $(shell grep '^torch==' $(CONSTRAINTS))
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
# Chromium for the tests of the pages: the system's, else from the system's packages, else Playwright's own build.
BROWSER := command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get && apt-get update -qq && apt-get install -qq -y chromium; } \
	|| $(PY) -m playwright install chromium
SUFFIX := $(if $(filter-out 42,$(SEED)),-seed$(SEED))
SKYRL := skyrl==0.3.0 skyrl-gym==0.4.0
RUN := checkpoints/quickstart$(SUFFIX)
RESULTS := results/quickstart$(SUFFIX).json

.DEFAULT_GOAL := help
.PHONY: help install install-dev quickstart test soak lint format clean skyrl-env test-skyrl

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with the tested versions

install-dev: $(INSTALLED_DEV) ## the same with what tests and lint need

quickstart: $(INSTALLED) data/raw/test.parquet ## train the starter model here, evaluate before and after (no GPU, no key)
	$(PY) scripts/download_model.py --starter
	$(PY) -m src.recruiter.main --config-name=quickstart_config trainer.seed=$(SEED) trainer.ckpt_path=$(RUN)
	$(PY) scripts/eval.py --model starter rl --checkpoint $(RUN) --judge rubric --show 3 --output $(RESULTS)
	$(PY) scripts/analyze_results.py --run $(RUN) --results $(RESULTS) $(if $(SUFFIX),--output results/quickstart$(SUFFIX))

test: $(INSTALLED_DEV) ## run every test but the long ones, two at a time
	$(PY) -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

soak: $(INSTALLED_DEV) ## run the long tests
	$(PY) -m pytest -m soak $(PYTEST_ARGS)

skyrl-env: .venv-skyrl/.installed ## make .venv-skyrl, the environment of engine=skyrl (CUDA, Python 3.12)

test-skyrl: .venv-skyrl-test/.installed ## run the tests of engine=skyrl with SkyRL itself, on the CPU
	.venv-skyrl-test/bin/python -m pytest -o addopts="-q --strict-markers --strict-config" tests/skyrl $(PYTEST_ARGS)

lint: $(INSTALLED_DEV) ## check style, format and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

format: $(INSTALLED_DEV) ## rewrite the code in the common format
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

clean: ## remove caches and build outputs; .venv, data, checkpoints, exports and results stay
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache
	find $(wildcard benchmarks feedback-ui scripts src tests) -name __pycache__ -prune -exec rm -rf {} +

data/raw/test.parquet: | $(INSTALLED)
	$(PY) scripts/prepare_dataset.py

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, this is " + sys.version.split()[0] + ": write for example PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the tested versions into $(VENV); this takes a few minutes."
ifneq ($(TORCH_INDEX),)
	$(PIP) --no-deps $(TORCH) --index-url $(TORCH_INDEX)
endif
	$(PIP) -c $(CONSTRAINTS) -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) -c $(CONSTRAINTS) -e '.[dev,peers]'
	@{ $(BROWSER); } >/dev/null || echo "No Chromium could be installed; the tests of the pages will fail without one."
	@touch $@

.venv-skyrl/.installed: pyproject.toml constraints/skyrl.txt
	@$(SKYRL_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null || { echo "SkyRL needs Python 3.12: write for example SKYRL_PYTHON=/path/to/python3.12"; exit 1; }
	$(SKYRL_PYTHON) -m venv .venv-skyrl
	@echo "Installing SkyRL, vLLM and torch for CUDA into .venv-skyrl; this takes several gigabytes and minutes."
	.venv-skyrl/bin/python -m pip --disable-pip-version-check install --quiet -c constraints/skyrl.txt -e '.[skyrl]'
	.venv-skyrl/bin/python -m pip --disable-pip-version-check install --quiet --no-deps $(SKYRL)
	@touch $@
	@echo "Next: .venv-skyrl/bin/python -m recruiter.skyrl.preflight"

# SkyRL's trainer, generator and workers without vLLM and CUDA.
.venv-skyrl-test/.installed: pyproject.toml constraints/cpu.txt constraints/skyrl-test.txt
	$(PYTHON) -m venv .venv-skyrl-test
	@echo "Installing SkyRL for the CPU into .venv-skyrl-test; this takes a few minutes."
ifneq ($(TORCH_INDEX),)
	.venv-skyrl-test/bin/python -m pip --disable-pip-version-check install --quiet --no-deps $(TORCH) --index-url $(TORCH_INDEX)
endif
	.venv-skyrl-test/bin/python -m pip --disable-pip-version-check install --quiet -r constraints/skyrl-test.txt
	.venv-skyrl-test/bin/python -m pip --disable-pip-version-check install --quiet --no-deps -e . $(SKYRL)
	@touch $@
