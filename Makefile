# Everything a fresh machine needs is Python ≥ 3.11, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
KEEP ?=
WORKERS ?= 2
MODEL ?= tiny

.PHONY: demo test test-core test-runtime test-real check wheel bench schemas sbom clean

demo: $(VENV)/.run
	$(BIN)/reconciler demo --model $(MODEL) $(if $(KEEP),--keep)

# With ARGS, which pytest gets, only tests of the daemon.
test: test-core $(if $(ARGS),,test-runtime)

test-core: $(VENV)/.test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -q $(ARGS)

# Tests of what runs in pods, in the environment of the runtime images (torch and more, 1.6 GB).
test-runtime: $(VENV)/.run
	python="$$($(BIN)/reconciler dev runtime)" && \
	"$$python" -m pip install --quiet --no-compile --disable-pip-version-check -r tests/presets/requirements.txt && \
	PYTHONPATH=tests "$$python" -m pytest -n $(WORKERS) --dist loadfile -q --confcutdir=tests/presets \
	    -p plugins.require_all -o timeout=300 $(addprefix tests/presets/,standins tuning inference)

# What touches an API server, on a real one: from the folder KUBEBUILDER_ASSETS, else built on Debian.
test-real: $(VENV)/.test
	assets="$${KUBEBUILDER_ASSETS:-$$(.ci/real-control-plane)}" && \
	KUBEBUILDER_ASSETS="$$assets" $(BIN)/pytest -n $(WORKERS) --dist loadfile -q -m real $(ARGS)

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

bench: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks/bench_*.py -q -s $(ARGS)

# The development API server's schemas, from the OpenAPI data of kubernetes-validate and defaults.yaml; and ours,
# for editors and the cluster, from the models.
schemas: $(VENV)/.test
	$(BIN)/python -m tests.dev.api.kubernetes_schemas
	PYTHONPATH=presets/artifacts:presets/tuning:presets/inference $(BIN)/python -m tests.schemas.generate

# What the runtime images install, as CycloneDX.
sbom:
	PYTHON=$(PYTHON) .ci/sbom

# The built wheel in an empty environment, run from another folder.
wheel: $(VENV)/bin/python
	rm -rf build/wheel && mkdir -p build/wheel/elsewhere
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check build/wheel/*.whl
	cd build/wheel/elsewhere && ../venv/bin/reconciler demo --fast

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Each kind of use installs what it needs on top of the one before, once for each pyproject.toml.
$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.check: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[test,check]'
	touch $@

clean:
	rm -rf $(VENV) build .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
