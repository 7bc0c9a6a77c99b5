# One target for each thing a person does. Everything lives in .venv, made with the python3 on the path.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test lint clean

install: $(INSTALLED)

$(INSTALLED): setup.cfg constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,grib]'
	touch $@

demo: $(INSTALLED)  ## the main job on the embedded default: under 10 minutes on 2 cores
	$(BIN)/python main.py --config=configs/diffusion_sit.py

test: $(INSTALLED)  ## all tests, files spread over two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)  ## format, lint, types, import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv build *.egg-info
