# The two commands of this project are `make demo` and `make test`; scripts/with sets up what each needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo cluster test check bench docs clean

# The order in which `make test` runs the tiers: what is quick, and what most depends on, first.
TIERS := unit store hub browser cluster

PORT ?= 8000
TIER ?= $(TIERS)
ARGS ?=
PARTS ?=

help:
	@echo 'make demo     JupyterHub with the GPU queue on this machine (PORT=8000 GPUS=8 FRESH=1; TOUR=1: with a scripted visitor)'
	@echo 'make cluster  a real Kubernetes on this machine with the chart installed, until Ctrl-C (PORT=8000; as root)'
	@echo 'make test     every test (TIER="$(TIERS)", ARGS="-k name")'
	@echo 'make check    format, lint, types, layers, docs'
	@echo 'make bench    speed on a real Kubernetes, beside stock KubeSpawner (PARTS="spawns turns-10"; as root)'
	@echo 'make docs     the documentation, in docs/_build/html'
	@echo 'make clean    what the above left in this folder'

demo:
	@exec scripts/with $(if $(TOUR),test,demo) proxy 'slapd?' $(if $(TOUR),'chromium?') -- gpuqueue $(if $(TOUR),tour,demo) \
	  --port '$(PORT)' $(if $(GPUS),--gpus '$(GPUS)') $(if $(TOUR),,$(if $(FRESH),--fresh))

cluster:
	@exec scripts/with test cluster postgresql -- python -m tests.services.kubernetes.show --port '$(PORT)'

test:
	@exec scripts/tests $(TIER) -- $(ARGS)

check:
	@exec scripts/with check -- scripts/check

bench:
	@exec scripts/with test cluster proxy -- python -m benchmarks.cluster $(PARTS)

docs:
	@exec scripts/with check -- sphinx-build -q -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
