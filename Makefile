# Every command a person needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAM_VENV := .venv-sam
PIP_INSTALL = pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all:

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.installed ## make the environment (.venv) with the neuro-preprocess command in it

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) scripts/require_python.sh
	@echo "setting up $(VENV) (first time: about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/$(PIP_INSTALL) -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(SAM_VENV)/.installed: requirements/sam.txt
	@PYTHON=$(PYTHON) scripts/require_python.sh
	@echo "setting up $(SAM_VENV) (SAM, in an environment of its own)"
	@$(PYTHON) -m venv $(SAM_VENV)
	@$(SAM_VENV)/bin/$(PIP_INSTALL) -r requirements/sam.txt
	@touch $@
