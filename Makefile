# Spatial-RAG: everything that people and machines start. `make` alone prints the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup ready build run test test-fast lint bench bench-peers torture soak profiles train \
  clean distclean

ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
IN_ENV := cd $(ROOT) && source scripts/env.sh || exit 1

ROBOT ?= sim

# A relative path is the caller's, also under `make -C`.
CALLER = $(if $(findstring w,$(firstword -$(MAKEFLAGS))),$(PWD),$(CURDIR))
path = $(if $(filter /%,$(1)),$(1),$(CALLER)/$(1))
quote = '$(subst ','\'',$(1))'
flag = $(if $(2),$(1) $(call quote,$(2)))
path_flag = $(if $(2),$(1) $(call quote,$(call path,$(2))))

RUN_FLAGS = $(strip \
  $(if $(BAG),$(call path_flag,--bag,$(BAG)),$(call flag,--robot,$(ROBOT))) \
  $(call flag,--duration,$(DURATION)) \
  $(call flag,--composition,$(COMPOSITION)) \
  $(call path_flag,--memory,$(MEMORY)) \
  $(call path_flag,--model,$(MODEL)) \
  $(call flag,--rate,$(RATE)) \
  $(call flag,--loop,$(LOOP)) \
  $(call flag,--namespace,$(NAMESPACE)) \
  $(call flag,--log-level,$(LOG_LEVEL)) \
  $(call flag,--remap,$(REMAP)) \
  $(call flag,--respawn,$(RESPAWN)) \
  $(call path_flag,--params,$(PARAMS)) \
  $(call flag,--axes,$(AXES)))

help:  ## print this
	@echo 'make TARGET, where TARGET is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(ROOT)/Makefile
	@echo 'run takes ROBOT=sim or BAG=path, and DURATION=seconds, COMPOSITION=true|false,'
	@echo '  MEMORY=path, MODEL=path, RATE=factor, LOOP=true|false, NAMESPACE=name, LOG_LEVEL=level,'
	@echo '  REMAP="from:=to …", RESPAWN=true|false, PARAMS=file.yaml, AXES=body|optical'

setup:  ## install what is missing into .venv and build (PYTHON=…, ROS_DISTRO=jazzy|kilted)
	@$(ROOT)/scripts/setup.sh

ready:
	@$(ROOT)/scripts/setup.sh --quiet

build:  ## run colcon again, in any case
	@$(ROOT)/scripts/setup.sh --build

run: ready  ## start all nodes on a robot or a recording, until Ctrl-C or for DURATION
	@source $(ROOT)/scripts/env.sh && exec run_stack $(RUN_FLAGS)

LINT = lint=0; ruff check --output-format concise . || lint=1; mypy || lint=1
PYTEST = pytest $(PYTEST_ARGS)

test: ready  ## lint, then all tests (PYTEST_ARGS='-k name')
	@$(IN_ENV); \
	$(LINT); \
	$(PYTEST) -m 'not stack' -n 3 --dist loadfile --no-loadscope-reorder; most=$$?; \
	$(PYTEST) -m stack -n 2 --dist loadfile --no-loadscope-reorder; stack=$$?; \
	case $$lint.$$most$$stack in 0.00 | 0.05 | 0.50) ;; *) exit 1 ;; esac  # 5: none selected

test-fast: ready  ## the tests that do not start the whole stack
	@$(IN_ENV); $(PYTEST) -m 'not stack' -n 3 --dist loadfile --no-loadscope-reorder

lint: ready  ## ruff and mypy
	@$(IN_ENV); $(LINT); exit $$lint

bench: ready  ## every benchmark (benchmarks/bench_*.py)
	@$(IN_ENV); \
	for file in benchmarks/bench_*.py; do \
	  echo "== $$file"; python "$$file" || failed=true; \
	done; \
	[ -z "$$failed" ]

PEERS = $(ROOT)/.venv-peers

$(PEERS)/ready: $(ROOT)/requirements/peers.txt
	@source $(ROOT)/scripts/env.sh && python3 -m venv --clear $(PEERS)
	@$(PEERS)/bin/pip install --quiet --requirement $< && touch $@

bench-peers: ready $(PEERS)/ready  ## bounded queries beside eMEM and LanceDB (minutes)
	@$(IN_ENV); python benchmarks/peers/bench_peers.py

torture: ready  ## a thousand kill -9 on a writing process (KILLS=1000)
	@$(IN_ENV); python src/spatial_rag_core/test/memory/torture kills --kills $(or $(KILLS),1000)

soak: ready  ## an hour of the stack: flat memory, no missed second (SOAK_MINUTES=60)
	@$(IN_ENV); python benchmarks/soak.py --minutes $(or $(SOAK_MINUTES),60)

profiles: ready  ## write the parameter files anew, after a change of parameters in the code
	@$(IN_ENV); \
	python -m spatial_rag_bringup.profile_files src/spatial_rag_bringup/config

# A relative path in TRAIN_ARGS is the clone's.
train: ready  ## a bundle from simulated drives: artifacts/encoder_transition.pt (TRAIN_ARGS='…')
	@$(IN_ENV); \
	spatial-rag data generate data/rooms2d.h5 --maps 110 --valid-maps 10 --test-maps 16 \
	  --steps 900 --no-depth --workers $$(nproc) \
	&& spatial-rag train --data data/rooms2d.h5 $(TRAIN_ARGS)

clean:  ## remove what was built
	@rm -rf $(addprefix $(ROOT)/,build install log .mypy_cache .ruff_cache .pytest_cache)

distclean: clean  ## remove .venv and .venv-peers as well
	@rm -rf $(ROOT)/.venv $(PEERS)
