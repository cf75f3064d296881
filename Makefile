# Everything runs in .venv, made here from nothing but Python 3.11 to 3.13.
PYTHON ?= python3
UV_VERSION = 0.13.9
BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest -n 2 --dist worksteal
WORKDIR ?= runs/demo
DEBIAN_PACKAGES = g++ mda-lv2 lv2-dev dpf-source chromium fluidsynth timgm6mb-soundfont espeak-ng

.PHONY: setup demo test test-extras test-readme system-packages lint bench wheel lock clean
.DEFAULT_GOAL = help

help:
	@echo "make demo         render, train and report on the bundled recordings; writes $(WORKDIR)/report.html"
	@echo "make test         all tests but those that need the extras below; installs $(DEBIAN_PACKAGES)"
	@echo "make test-extras  compare with PyTorch and an independent plug-in host (installs both); install the wheel"
	@echo "make test-readme  run the README's commands one after another, at small size: a quarter of an hour"
	@echo "make bench        training speed of networks, beside the PyTorch original (installs it), and of populations"
	@echo "make accelerator  on a borrowed GPU without a network: checks, speed, and training for MINUTES; see .ci/accelerator"
	@echo "make lint         style checks"
	@echo "make wheel        dist/jaxvae-*.whl, the package with the console command jaxvae"
	@echo "make setup        only make .venv"

setup: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"$(PYTHON) is Python {v[0]}.{v[1]}; jaxvae needs 3.11 to 3.13: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/python -m launch.train configs/demo.py --workdir $(WORKDIR)
	$(BIN)/python -m analysis.report $(WORKDIR)
	@echo "hear its latent map: $(BIN)/python -m launch.latent_map $(WORKDIR)"

test: setup system-packages
	$(PYTEST)

# What some tests need beside Python, on Debian.
system-packages:
	@.ci/system_packages $(DEBIAN_PACKAGES)

.venv/extras: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 dawdreamer==0.9.0 auraloss==0.4.0
	touch $@

test-extras: .venv/extras system-packages
	$(PYTEST) -m "benchmark or evaluation or package"

test-readme: setup
	$(BIN)/python -m pytest -m readme tests/test_readme.py

bench: .venv/extras
	$(BIN)/python -m analysis.benchmark.network
	$(BIN)/python -m analysis.benchmark.population

# On a machine with an accelerator and no network: WHEELS holds what its Python lacks, OUT gets the results.
WHEELS ?= wheels
OUT ?= runs/accelerator
MINUTES ?= 10
TRAIN ?= configs/demo.py
accelerator:
	PYTHON=$(PYTHON) .ci/accelerator $(WHEELS) $(OUT) $(MINUTES) $(TRAIN)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

wheel: setup
	$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

# Resolve the pinned versions anew, for every supported Python at once.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --extra development --universal --python-version 3.11 \
		--generate-hashes --no-header --quiet --output-file requirements.txt

clean:
	rm -rf .venv datasets runs
