# Each target is complete: it sets up what it needs first, and takes seconds when nothing changed.
#
#   make demo                     read the sample scenes with a model that comes with the project; results in output/samples
#   make demo-training            draw scenes, train a very small spotter on them, read them; results in output/demo
#   make test                     style checks and all tests
#   make setup                    only the environment, in .venv
#   make detectron2 PYTHON=...    Detectron2 into an environment of your own
#
# PYTHON chooses the interpreter, VENV the folder of the environment.

VENV ?= .venv
PYTHON ?=

.PHONY: help demo demo-training test setup detectron2

help:
	@sed -n 's/^#   //p' Makefile

demo: setup
	@$(VENV)/bin/python -W ignore tools/read_samples.py

demo-training: setup
	@$(VENV)/bin/python -W ignore tools/make_demo.py

test: setup
	@$(VENV)/bin/python -m ruff check .
	@$(VENV)/bin/python -m ruff format --check .
	@$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

setup:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash tools/setup_environment.sh

detectron2:
	@$(or $(PYTHON),python3) tools/install_detectron2.py
