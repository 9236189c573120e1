# SPDX-License-Identifier: GPL-2.0-only
# What a newcomer types. Everything happens in .venv/; nothing needs root.
#
#   PYTHON=python3.12   the Python to use (default: python3)
#   COVERAGE=1          have the interpreted tests measure the branches of the model, and fail below the threshold
#   PYTEST_ARGS="-k x"  passed on to pytest; a -m in it takes the place of the choice made here
#   THPLAB_KERNELS=DIR  the folder of kernels to boot (default: ../shared/kernels)
#   THPLAB_LINUX_SOURCE=DIR  an unpacked kernel source (linux-source-7.3), for make check-kernel-index
#   THPLAB_REQUIRE_COMPILED=1  fail where the model cannot be compiled, instead of running it interpreted

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
QUICK := -m "not slow and not vm"
# What reaches the branches of the model. To measure the other tests too would take several times as long.
MEASURED := $(addprefix tests/,cpu mm designs releases conformance model)
PURE := PYTHONPATH=src

KERNELS := $(or $(THPLAB_KERNELS),../shared/kernels)
VERIFIED_KERNELS := bzImage-split_queue bzImage-7.3

PACKAGE := pyproject.toml setup.py LICENSE $(shell find src/thplab scenarios -name '*.py' -o -name '*.toml')
EXTRAS := test vm lint bench docs
STALE := rm -rf build src/thplab.egg-info

.PHONY: help demo test test-all test-vm verify-vm test-compiled test-pure lint format bench bench-check check-kernel-index pages docs picture build clean venv

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## what Linux 6.12 and 7.3 do to huge pages on the other node
	@$(BIN)/python tools/build_state.py --say
	$(BIN)/thplab compare scenarios/cover-letter.toml

test: test-compiled test-pure ## the tests, compiled and interpreted, without the slow ones

# Side by side, as each keeps one processor busy. The slow tests run compiled only.
test-all: $(VENV)/.installed $(VENV)/.test ## the same with the slow tests (minutes)
	@$(MAKE) --no-print-directory --output-sync=target --jobs=2 \
		COMPILED_TESTS='-m "not vm"' test-compiled test-pure

test-vm: $(VENV)/.installed $(VENV)/.test $(VENV)/.vm ## the tests that boot kernels in virtual machines (minutes)
	$(PURE) $(PYTEST) -m vm $(PYTEST_ARGS)

# The kernels side by side: a guest in software emulation keeps one processor busy.
verify-vm: $(VENV)/.installed $(VENV)/.vm ## the library and random scenarios on the kernels of 6.12 and 7.3 (minutes)
	@there=(); for kernel in $(VERIFIED_KERNELS); do \
		if [ -e "$(KERNELS)/$$kernel" ]; then there+=("verify-vm-$$kernel"); \
		else echo "== LEFT OUT: no kernel $(KERNELS)/$$kernel: set THPLAB_KERNELS to a folder that has it" >&2; fi; \
	done; \
	[ $${#there[@]} -gt 0 ] || exit 2; \
	$(MAKE) --no-print-directory --output-sync=target --jobs=2 "$${there[@]}"

verify-vm-%:
	@$(BIN)/thplab verify --kernel "$(KERNELS)/$*"
	@$(BIN)/thplab fuzz --kernel "$(KERNELS)/$*" --count 50

COMPILED_TESTS := $(QUICK)

# Tests the installed package. Without a compiler that is the source, which test-pure tests anyway.
test-compiled: $(VENV)/.installed $(VENV)/.test
	@status=0; $(BIN)/python tools/build_state.py || status=$$?; \
	if [ $$status -eq 3 ] && [ "$${THPLAB_REQUIRE_COMPILED:-}" != 1 ]; then \
		echo "nothing is compiled here, so only the interpreted tests run"; \
	elif [ $$status -ne 0 ]; then \
		exit 1; \
	else \
		echo "== tests of the compiled package"; \
		THPLAB_EXPECT=compiled $(PYTEST) $(COMPILED_TESTS) $(PYTEST_ARGS); \
	fi

test-pure: INTERPRETED := $(PURE) THPLAB_EXPECT=interpreted $(PYTEST) $(QUICK)
test-pure: $(VENV)/.installed $(VENV)/.test
	@echo "== tests of the interpreted source"
ifeq ($(COVERAGE),1)
	$(INTERPRETED) --cov --cov-report=json:.branches.json --cov-fail-under=0 $(PYTEST_ARGS) $(MEASURED)
	@$(BIN)/python tools/branch_coverage.py .branches.json || \
		{ $(BIN)/coverage report --fail-under=0; exit 1; }
	$(INTERPRETED) $(MEASURED:%=--ignore=%) $(PYTEST_ARGS)
else
	$(INTERPRETED) $(PYTEST_ARGS)
endif

lint: $(VENV)/.installed $(VENV)/.lint $(VENV)/.test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PURE) $(BIN)/mypy

format: $(VENV)/.lint ## let ruff correct what it can
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

bench: $(VENV)/.installed $(VENV)/.bench ## speed and size, wanted beside reached (minutes)
	$(BIN)/python benchmarks/bench.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/explore.py

bench-check: $(VENV)/.installed $(VENV)/.bench ## a short bench, which fails if a ratio is far off
	$(BIN)/python benchmarks/bench.py --check

pages: $(VENV)/.test ## the parts of the documentation that repeat the source (tools/pages.py)
	@$(PURE) $(BIN)/python tools/pages.py

docs: $(VENV)/.docs ## the site, in docs/_build/html/
	@$(PURE) $(BIN)/python -m sphinx -b html -d docs/_build/doctrees -W --keep-going -q docs docs/_build/html
	@echo "the site begins at docs/_build/html/index.html"

# The tree is Debian's linux-source-7.3, unpacked. Without one there is nothing to do.
check-kernel-index: $(VENV)/.installed ## look for the kernel functions of the index in THPLAB_LINUX_SOURCE
	@status=0; $(PURE) $(BIN)/python tools/check_kernel_index.py || status=$$?; [ $$status -eq 3 ] || exit $$status

picture: $(VENV)/.installed ## the picture of the README, from what thplab really says
	$(BIN)/thplab compare cover-letter --svg docs/cover-letter.svg > /dev/null

build: $(VENV)/.venv ## a compiled wheel in dist/, with all that the build says
	$(STALE) dist
	THPLAB_REQUIRE_COMPILED=$${THPLAB_REQUIRE_COMPILED:-1} \
		$(PIP) --verbose --verbose wheel --no-deps --wheel-dir dist .
	$(STALE)
	@ls -l dist

clean: ## remove all that make made
	$(STALE) dist $(VENV) benchmarks/out .coverage .branches.json .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .benchmarks docs/_build docs/python docs/library
	find src tests benchmarks tools docs -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(VENV)/.installed $(VENV)/.test $(VENV)/.lint $(VENV)/.bench ## all that a developer needs, in .venv/

# Stamps. make renews one only when what it depends on has changed.

$(VENV)/.venv: tools/make_venv.py
	@echo "== a virtual environment in $(VENV)/"
	@$(PYTHON) tools/make_venv.py $(VENV)
	@touch $@

# An old build tree would bring deleted modules into the package.
$(VENV)/.installed: $(VENV)/.venv $(PACKAGE)
	@echo "== installing thplab (the first time, and compiling, takes a minute)"
	@$(STALE)
	@$(PIP) install .
	@$(STALE)
	@touch $@

$(EXTRAS:%=$(VENV)/.%): $(VENV)/.%: $(VENV)/.venv pyproject.toml
	@echo "== installing what thplab[$*] needs"
	@$(BIN)/python tools/extras.py $* > $(VENV)/$*.txt
	@$(PIP) install -r $(VENV)/$*.txt
	@touch $@
