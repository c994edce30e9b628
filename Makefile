# regrow: `make run` tries it, `make test` proves it. Everything else is for people who change it.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))) python3)
RUN := .venv
TEST := .venv-test
BIN := $(TEST)/bin
PYTEST := $(BIN)/python -m pytest
COV := --cov --cov-report=
# extra arguments for the program or the tests: make run ARGS="--log-format json"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-quick test-real rehearse check caps gates bench docs lock dev clean venv venv-test

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: venv ## Keep a real gateway alive, in a sandbox of its own, until Ctrl-C
	@exec $(RUN)/bin/regrow run --sandbox $(ARGS)

test: venv-test ## All tests but the long ones: gates first, then quick tests, then real gateways
	@rm -rf build/reports .coverage .coverage.* && mkdir -p build/reports
	@$(MAKE) --no-print-directory check test-quick test-real gates
	@$(BIN)/python tools/summary.py build/reports/quick.xml build/reports/real.xml

test-quick: venv-test
	$(PYTEST) -q -m "not real and not rehearsal" -n 2 --dist worksteal $(COV) --junitxml=build/reports/quick.xml $(ARGS)

# One after the other: a gateway's boot takes both cores.
test-real: venv-test
	@$(BIN)/python tests/rig/machine.py
	$(PYTEST) -q -m "real and not rehearsal" $(COV) --cov-append --junitxml=build/reports/real.xml $(ARGS)

rehearse: venv-test ## The long ones: drains, breakers, hangs on real gateways
	@mkdir -p build/reports
	@$(BIN)/python tests/rig/machine.py
	$(PYTEST) -m rehearsal -v --junitxml=build/reports/rehearsal.xml $(ARGS) || [ $$? -eq 5 ]  # 5: none; the next line says so
	@$(BIN)/python tools/summary.py build/reports/rehearsal.xml

check: venv-test ## Format, lint, types, import contracts, size caps
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 12
	@$(PYTEST) -q -p no:cacheprovider tests/test_tree.py tests/test_docs.py

gates: ## What share of the code the last tests ran
	@$(BIN)/coverage report --skip-covered --fail-under=90 | tail -n 40
	@$(BIN)/coverage report --skip-covered --fail-under=100 --include='*/regrow/decide/*,*/regrow/link/protocol.py,*/regrow/config/*'

bench: venv-test ## Measure, beside what else is installed
	$(BIN)/python benchmarks/run.py $(ARGS)

docs: venv-test ## Write the generated pages and the picture again
	$(BIN)/python tools/pages.py
	$(BIN)/python tools/picture.py

lock: venv-test ## Resolve the dependencies again
	$(BIN)/python -m pip install --quiet 'uv>=0.13,<1'
	cd requirements && for name in run test; do \
	  ../$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    ../pyproject.toml --extra managed --group ../pyproject.toml:build $$(test $$name = test && echo --extra notify --group ../pyproject.toml:dev) -o $$name.txt; done

dev: ## An environment with the sources in place: .venv-dev
	@$(PYTHON) tools/make_venv.py .venv-dev test --editable

venv:
	@$(PYTHON) tools/make_venv.py $(RUN) run

venv-test:
	@$(PYTHON) tools/make_venv.py $(TEST) test

clean: ## Remove everything that was made here
	rm -rf .venv .venv-test .venv-dev build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
