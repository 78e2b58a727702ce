# make demo   sets up and prints a real plan
# make test   sets up and passes the tests; after make engines on real engines, too
# Both need Python >= 3.11 with venv, and make; a C compiler only where a wheel is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: all demo test check format benchmark fuzz faults accuracy engines docs clean
all: check test

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("hwledger needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	$(BIN)/python -m compileall -q src  # as pip does unless editable; else PYTHONDONTWRITEBYTECODE costs 0.1 s a call
	touch $@

demo: $(READY)
	$(BIN)/hwledger plan Qwen/Qwen3-30B-A3B --engine vllm --weights nvfp4 --context 32k --concurrency 4 --device "RTX 5090" || test $$? -eq 3

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(READY)
	$(BIN)/python -m pytest benchmarks --benchmark-only

fuzz: $(READY)
	$(BIN)/python -m pytest fuzz

# A thousand kills on each database and ten thousand alterations of a ledger, an hour; the tests do fewer.
faults: $(READY)
	$(BIN)/python tests/faults/kill_writer.py --times 1000
	$(BIN)/python tests/faults/kill_writer.py --times 1000 --postgresql
	$(BIN)/python tests/faults/kill_server.py --times 1000
	$(BIN)/python tests/faults/kill_server.py --times 1000 --postgresql
	$(BIN)/python tests/faults/alter_ledger.py --times 10000
	$(BIN)/python tests/faults/break_sidecars.py --times 500
	$(BIN)/python tests/faults/spoil_prompts.py --times 200

accuracy: $(READY)
	$(BIN)/hwledger accuracy --page docs/accuracy.md

# Engines and a small model (93 MB) for the tests that run real engines; about 600 MB in all.
engines: $(READY)
	$(BIN)/python tools/install_engines.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
