# One target for each thing a person does. Everything is installed into .venv, made with the python3 on the path.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
GALLERY ?= /

.PHONY: install demo test docs lint format clean

install: $(INSTALLED)  ## .venv with the pinned dependencies and this package, editable

$(INSTALLED): setup.cfg constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,grib,docs]'
	touch $@

demo: $(INSTALLED)  ## the main job on the embedded default: 10 minutes on 2 cores
	$(BIN)/python main.py --config=configs/diffusion_sit.py

test: $(INSTALLED)  ## all tests, their files shared by two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(INSTALLED)  ## the documentation, in docs/_build/html; warnings are errors; GALLERY: pattern of the executed pages
	rm -rf docs/reference/generated
	$(BIN)/python -m sphinx --builder html --fail-on-warning --quiet -d docs/_build/doctrees \
	  -D sphinx_gallery_conf.filename_pattern='$(GALLERY)' docs docs/_build/html

lint: $(INSTALLED)  ## check format, style, types and import contracts; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)  ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove everything that is made again, the environment included; runs/ stays
	rm -rf .venv build docs/_build docs/examples docs/reference/generated *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
