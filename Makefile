# The commands of users and contributors; `make` alone lists them.

CONFIG ?= fashion-mnist
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := trainer,evaluator,releaser,controller,agent,pipelines,dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Two processes on two cores: training a tiny model keeps little more than one busy. A file's tests stay in one process, where they share
# what their first one prepared. Files go out in the order given here: those of whole runs, few tests of minutes, must not come last, when
# the other process has nothing left to do.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
TESTS := tests/pipelines tests/ml tests/unit tests/architecture
ADDED_TESTS := tests/packaging tests/metrics tests/faults
TEST_TOOLS := chromium prometheus prometheus-pushgateway prometheus-alertmanager
IMAGE_TOOLS := debootstrap mmdebstrap buildah podman runc docker-registry
NODE_TOOLS := $(IMAGE_TOOLS) containerd iptables nft:nftables ip:iproute2 /usr/lib/cni/ptp:containernetworking-plugins

DATASET := /usr/share/datasets/fashion-mnist
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0
# A variable that was given, as the option of the same name: BUILD_FLAGS=x is --build-flags='x'.
lower = $(shell echo '$(1)' | tr A-Z_ a-z-)
given = $(if $($(1)),--$(call lower,$(1))='$($(1))')
IS_ROOT_WITH_APT := test "$$(id -u)" = 0 && command -v apt-get >/dev/null

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup run data images test test-tools image-tools test-added test-images kept-images test-cluster test-full programs builds
.PHONY: lint format check bench
.PHONY: constraints manifests clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv with everything, at the versions of constraints.txt

# The stamp is written last, so a set-up that was interrupted goes on where it stopped.
$(INSTALLED): pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  python=$$(sh .ci/find-python $(PYTHON)) || exit 1; \
	  echo "Creating $(VENV) with $$($$python --version)."; \
	  $$python -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "Installing the packages of constraints.txt into $(VENV): about 3 GB, some minutes the first time."
	@$(PIP) install -c constraints.txt setuptools wheel
	@$(PIP) install -c constraints.txt --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@

run: setup data ## train, compress, judge and bundle a model (CONFIG=fashion-mnist or CONFIG=digits)
	@$(BIN)/edgepress run pipelines/edgepress_pipelines/configs/$(CONFIG).yaml; code=$$?; \
	if [ $$code = 2 ] && [ '$(CONFIG)' = fashion-mnist ] && [ ! -d $(DATASET) ]; then \
	  echo "If Fashion-MNIST cannot be had on this machine, go on with the digits that scikit-learn ships: make run CONFIG=digits" >&2; \
	fi; exit $$code

# Without root or apt, or when apt cannot find the package, the run itself downloads the data.
data:
	@if [ '$(CONFIG)' = fashion-mnist ] && [ ! -d $(DATASET) ] && $(IS_ROOT_WITH_APT); then \
	  echo "Installing Debian's package dataset-fashion-mnist."; \
	  { $(APT) update && $(APT) install -y --no-install-recommends dataset-fashion-mnist >/dev/null; } \
	    || echo "apt-get could not install dataset-fashion-mnist; the run will try to download the data instead." >&2; \
	fi

# Needs no .venv. BUILDER: docker, podman or buildah. BASE: the image under all. IMAGES: some of them, e.g. 'trainer evaluator'.
# PUSH: registry/prefix to push all to, which writes the image lock. Dockerfiles/README.md has the rest.
images: ## build the container images (BUILDER, BASE, IMAGES); with PUSH=registry/prefix push them and lock their digests
	@python=$$(sh .ci/find-python $(PYTHON)) || exit 1; \
	PYTHONPATH=components $$python -m Dockerfiles.build $(addprefix --image ,$(IMAGES)) \
	  $(foreach option,BUILDER BASE PUSH LOCK AGENT_PLATFORMS SOURCE PIP_CONF CA_BUNDLE BUILD_FLAGS PUSH_FLAGS,$(call given,$(option)))

test: setup ## every test that a contributor runs (under 7 minutes on 2 cores)
	@$(PYTEST) $(TESTS)

test-added: setup test-tools ## only what test-full adds to test: faults, browser, metrics, wheels, images, manifests, cluster
	@$(PYTEST) $(ADDED_TESTS)
	@$(MAKE) --no-print-directory test-images
	@$(MAKE) --no-print-directory programs
	@$(PYTEST) tests/manifests
	@$(MAKE) --no-print-directory test-cluster

# Without root or apt this says what to install.
test-tools:
	@sh .ci/need $(TEST_TOOLS)

# Where they cannot be had, `make test-images` says so.
image-tools:
	@sh .ci/need root $(IMAGE_TOOLS) 2>/dev/null || true

# kustomize and the control plane's servers, built before the tests that need them, where the wait can be seen.
programs: setup
	@test -n "$$EDGEPRESS_TEST_KUBECONFIG" || $(BIN)/python -m tests.cluster build

# Of what is built beside the tests, Go takes what processor time the rest leaves: it alone can use both cores when it is alone.
builds: setup
	@nice -n 19 make --no-print-directory programs & \
	if sh .ci/need root $(IMAGE_TOOLS); then nice -n 5 $(MAKE) --no-print-directory kept-images; fi; wait

test-images: setup ## the container images, built on a Debian base and run as in a pod; needs root
	@if reason=$$(sh .ci/need root $(IMAGE_TOOLS) 2>&1); then $(BIN)/python -m tests.images build && $(PYTEST) tests/images; \
	else echo "image tests: NOT RUN ($$reason)"; fi

# The images that several suites run, built before the tests that need them and kept; beside other tests, if one likes.
kept-images: setup ## build the images that several suites run, if what they are made of has changed; needs root
	@if sh .ci/need root $(NODE_TOOLS) >/dev/null 2>&1; then $(BIN)/python -m tests.cluster images; fi

# One process, because one control plane serves all tests, and one node. What the node lacks, its tests say.
test-cluster: setup programs kept-images ## the manifests on a real API server (EDGEPRESS_TEST_KUBECONFIG's, or one built with Go) and a real node
	@$(BIN)/python -m pytest -q tests/cluster

test-full: setup test-tools image-tools ## everything that CI runs: test and test-added, and beside them the builds that these need
	@sh .ci/beside 'make --no-print-directory builds' \
	  'make --no-print-directory test' 'make --no-print-directory test-added'

lint: setup ## ruff, mypy (strict) and import-linter
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## let ruff format and fix what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

check: lint test ## lint and test: what to run before a commit

bench: setup ## measure the figures of the README; resumes where it stopped
	@$(BIN)/python -m tests.benchmarks

constraints: setup ## resolve every extra anew and rewrite constraints.txt
	@$(BIN)/python .ci/renew_constraints.py '$(EXTRAS)'

manifests: setup ## renew what is written from the manifests and the list of metrics: dashboard and golden renders (needs Go)
	@$(BIN)/python -m manifests.components.monitoring.dashboard
	@EDGEPRESS_UPDATE_GOLDENS=1 $(PYTEST) tests/manifests/test_manifests_goldens.py

clean: ## remove build products and caches; .venv and .edgepress stay
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find components pipelines tests -name __pycache__ -type d -prune -exec rm -rf {} +
