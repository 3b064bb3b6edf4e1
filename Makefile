# Every command a person needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAM_VENV := .venv-sam
BIDS_VENV := .venv-bids
WITH_GO := PYTHON=$(PYTHON) scripts/with_go.sh
PIP_INSTALL = pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all:

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.installed ## make the environment (.venv) with the neuro-preprocess command in it

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) scripts/require_python.sh
	@echo "setting up $(VENV): half a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/$(PIP_INSTALL) -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(SAM_VENV)/.installed: requirements/sam.txt
	@PYTHON=$(PYTHON) scripts/require_python.sh
	@echo "setting up $(SAM_VENV): SAM, in an environment of its own"
	@$(PYTHON) -m venv $(SAM_VENV)
	@$(SAM_VENV)/bin/$(PIP_INSTALL) -r requirements/sam.txt
	@touch $@

$(BIDS_VENV)/.installed: requirements/bids.txt
	@PYTHON=$(PYTHON) scripts/require_python.sh
	@echo "setting up $(BIDS_VENV): the BIDS validator, for the tests"
	@$(PYTHON) -m venv $(BIDS_VENV)
	@$(BIDS_VENV)/bin/$(PIP_INSTALL) -r requirements/bids.txt
	@touch $@

# ---- what Lambda gets, built for this machine's own Python and architecture

HOST_PY = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
HOST_ARCH = $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
LAYERS = TelemetryLayer ScienceLayer RuntimeLayer TelemetryContribLayer
LAYER_SOURCES = $(shell find layers -name '*.py' -o -name 'requirements.txt' -o -name Makefile) layers/telemetry/otel-instrument
COLLECTOR_SOURCES = $(shell find collector -name '*.go' -not -name '*_test.go') collector/go.mod collector/go.sum collector/Makefile

# What is deployed, for the resource of all telemetry.
.PHONY: version
version:
	@printf '{"version": "%s", "commit": "%s"}\n' "$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  "$$(git rev-parse HEAD 2>/dev/null || echo unknown)" > functions/version.json

.PHONY: layers
layers: .build/layers/.built extension .build/lambda-runtime/.built version ## build the layers for the local Lambda service

.build/layers/.built: $(VENV)/.installed $(LAYER_SOURCES)
	@echo "building the layers (Python $(HOST_PY), $(HOST_ARCH))"
	@for layer in $(LAYERS); do \
	  rm -rf .build/layers/$$layer && \
	  $(MAKE) -s -C layers build-$$layer ARTIFACTS_DIR=$(CURDIR)/.build/layers/$$layer \
	    PY=$(HOST_PY) ARCH=$(HOST_ARCH) PYTHON=$(CURDIR)/$(BIN)/python || exit 1; \
	done
	@touch $@

.PHONY: extension
extension: .build/layers/CollectorLayer/extensions/collector ## build the Collector extension, the fourth layer (installs Go if it must)

.build/layers/CollectorLayer/extensions/collector: $(COLLECTOR_SOURCES)
	@echo "building the Collector extension: minutes the first time"
	@$(WITH_GO) $(MAKE) -s -C collector build-CollectorLayer ARTIFACTS_DIR=$(CURDIR)/.build/layers/CollectorLayer ARCH=$(HOST_ARCH)

.build/lambda-runtime/.built: $(VENV)/.installed requirements/lambda-runtime.txt
	@rm -rf .build/lambda-runtime
	@$(BIN)/$(PIP_INSTALL) --target .build/lambda-runtime -r requirements/lambda-runtime.txt
	@touch $@

# ---- what AWS gets, for any target: make build ARCH=arm64 PY=3.12

PY ?= 3.13
ARCH ?= x86_64
SAM = SAM_CLI_TELEMETRY=0 AWS_EC2_METADATA_DISABLED=true $(SAM_VENV)/bin/sam

.PHONY: build
build: $(SAM_VENV)/.installed version ## build with SAM for deployment (ARCH=x86_64|arm64 PY=3.11|3.12|3.13)
	@PY=$(PY) ARCH=$(ARCH) PYTHON=$(CURDIR)/$(SAM_VENV)/bin/python SAM_CLI_TELEMETRY=0 AWS_EC2_METADATA_DISABLED=true \
	  scripts/with_go.sh $(SAM_VENV)/bin/sam build --parameter-overrides Architecture=$(ARCH) PythonVersion=python$(PY)
	@python$(PY) -c '' 2>/dev/null || \
	  echo "note: without a python$(PY) on PATH the layers have no byte code, and cold starts take a second longer"

# ---- checks and tests

.PHONY: check
check: $(VENV)/.installed $(SAM_VENV)/.installed ## lint, types, import rules, template, shell: changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SAM) validate --lint --region us-east-1
	$(BIN)/shellcheck scripts/*.sh collector/scripts/*.sh .ci/run

.PHONY: fmt
fmt: $(VENV)/.installed ## format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: test
test: $(VENV)/.installed $(BIDS_VENV)/.installed layers ## set up what is needed and run every test that needs no Docker and no root
	$(BIN)/pytest --ignore tests/docker --ignore tests/runtime

.PHONY: test-docker
test-docker: $(VENV)/.installed $(SAM_VENV)/.installed layers ## the tests that need a Docker engine: `sam local invoke`
	@$(WITH_GO) $(BIN)/pytest tests/docker

.PHONY: test-collector
test-collector: ## vet and test the Collector extension, and look for races in it
	@$(WITH_GO) $(MAKE) -s -C collector vet test race

.PHONY: test-runtime
test-runtime: $(VENV)/.installed $(SAM_VENV)/.installed layers ## the extension in its life: AWS's own emulator (needs bubblewrap), kills, outages, freezes
	@$(WITH_GO) $(BIN)/pytest tests/runtime

.PHONY: demo
demo: $(VENV)/.installed layers ## upload scans to a local S3, watch them being processed, see the report (SCAN=path for your own)
	@$(BIN)/neuro-preprocess demo $(SCAN)

.PHONY: bench
bench: $(VENV)/.installed ## CPU and memory of every stage, against a fixed job in the same run
	$(BIN)/python benchmarks/stages.py

.PHONY: lock
lock: ## compile every requirements.in to its hashed requirements.txt (needs uv on PATH)
	@for file in layers/science/requirements layers/runtime/requirements layers/telemetry/requirements layers/telemetry-contrib/requirements \
	    requirements/lambda-runtime requirements/dev requirements/sam requirements/bids requirements/go; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command "make lock" $$file.in -o $$file.txt || exit 1; \
	done

.PHONY: clean
clean: ## remove everything that was built or installed here
	rm -rf .build .aws-sam $(VENV) $(SAM_VENV) $(BIDS_VENV) .venv-go collector/build out
