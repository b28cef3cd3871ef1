.DEFAULT_GOAL := help
.PHONY: help up down test machines check bench python

BIN := .venv/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: python ## From a fresh Debian or Ubuntu to the healthy application on port 8080 and its controller on 8900
	@python3 -m scripts.up

down: python ## Take away what `make up` made, and nothing else
	@python3 -m scripts.down

test: python ## Run every test, those on a real Swarm included, with coverage
	@python3 -m scripts.provision_tests $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --reruns 2 --reruns-delay 3 --max-suite-reruns 15 --rerun-show-tracebacks --cov --cov-report=term $(TESTS)
	@test -n "$(TESTS)" || python3 -m scripts.coverage_floor

machines: python ## Play 10,000 runs of the state machines on the simulator, or PRODBREAKER_MACHINE_RUNS of them
	@python3 -m scripts.provision_tests env PRODBREAKER_MACHINE_RUNS=$${PRODBREAKER_MACHINE_RUNS:-10000} $(BIN)/python -m pytest -q -n 2 tests/machines

check: python ## Lint, format, types and the import law
	@python3 -m scripts.check

bench: python ## Measure against docker's own client, side by side
	@python3 -m scripts.provision_tests $(BIN)/python -m tests.bench

python:
	@command -v python3 >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q python3 python3-venv; }
