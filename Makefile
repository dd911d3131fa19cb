# Each target is complete: it sets up what it needs first, and takes seconds when nothing changed.
#
#   make demo                     read the sample scenes with a model that comes with the project; results in output/samples
#   make demo-training            draw scenes, train a very small spotter on them, read them; results in output/demo
#   make test                     style and type checks, the documentation, and all tests with their coverage
#   make docs                     the documentation, in site/
#   make setup                    only the environment, in .venv
#   make detectron2 PYTHON=...    Detectron2 into an environment of your own
#
# PYTHON chooses the interpreter, VENV the folder of the environment.

VENV ?= .venv
PYTHON ?=

.PHONY: help demo demo-training test docs setup setup-docs detectron2

help:
	@sed -n 's/^#   //p' Makefile

demo: setup
	@$(VENV)/bin/python -W ignore tools/read_samples.py

demo-training: setup
	@$(VENV)/bin/python -W ignore tools/make_demo.py

test: docs
	@$(VENV)/bin/python -m ruff check .
	@$(VENV)/bin/python -m ruff format --check .
	@$(VENV)/bin/python -m mypy
	@$(VENV)/bin/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

docs: setup-docs
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --quiet --strict

setup:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash tools/setup_environment.sh

setup-docs:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash tools/setup_environment.sh docs

detectron2:
	@$(or $(PYTHON),python3) tools/install_detectron2.py
