# Each target does all of its own set-up. `make install` is quick when nothing changed.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo demo-short test lint types check docs wheel wheel-demo torture bench gpu results clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
# Published metrics that ours are tested against: plain functions that need nothing of what the package depends on.
	$(BIN)/python -m pip install --quiet --no-deps --ignore-requires-python "renate==0.5.2"
	touch $@

demo: install
	$(BIN)/attrition demo
	@echo "To call attrition from this shell: . .venv/bin/activate"

demo-short: install
	$(BIN)/attrition demo --short --fresh --out runs/demo-short

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# Two test files at a time; each process computes with one thread.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# What runs before anything lands.
check: lint types docs test demo-short

# The site, in docs/_build/html. A warning is an error; no network is used.
docs: install
	$(BIN)/python -m sphinx -E -W --keep-going -q docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

wheel: install
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# Install the wheel into an empty environment, as a user would, and run the short demo from there, outside this folder.
wheel-demo: wheel
	rm -rf build/wheel && $(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet -c constraints.txt "torch==2.13.0" "$$(ls dist/*.whl)[embedded]"
	cd build/wheel && venv/bin/attrition demo --short --fresh

# Hundreds of killed processes, thousands of spoiled files, compiled layers; about a quarter of an hour. See docs/reliability.md.
torture: install
	ATTRITION_TORTURE=1 $(BIN)/python -m pytest $(wildcard tests/torture tests/fuzz) tests/encoder/test_layer.py

# Ours against Hugging Face Trainer + PEFT + seqeval; about a quarter of an hour on an idle machine. See benchmarks/README.md.
bench: install
	$(BIN)/python -m benchmarks.cpu

# On a machine with a GPU: agreement with the CPU, speed at XLM-R base size, hours of the whole paper. Needs no network after `install`.
gpu: install
	$(BIN)/python -m benchmarks.gpu

# All tables and figures of docs/results again, from the matrices there; a minute or two.
results: install
	$(BIN)/python docs/results/remake.py

clean:
	rm -rf .venv build dist docs/_build docs/_generated src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
