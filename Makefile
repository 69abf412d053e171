# Every target is safe to repeat. `make help` lists them.
PYTHON := .venv/bin/python
HOSTS ?= 3
PORT ?= 8080
ADMIN_PASSWORD ?= password
KEEP ?=
TESTS ?=
export ADMIN_PASSWORD  # not as an argument: everybody sees those

.DEFAULT_GOAL := help
.PHONY: help setup check test demo demo-down dev provider release bindings bench lock clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## install what is missing: Debian packages, Python environment
	@python3 tools/setup.py build host guest test

check: setup  ## style, types, layers
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

test: check provider  ## everything: checks and all tests, on real parts (TESTS=tests/cli: only these)
ifneq ($(TESTS),)
	@.venv/bin/pytest $(TESTS)
else
	@.venv/bin/pytest --numprocesses 3  # which of them never side by side: tests/conftest.py
endif

demo: terraform  ## two hosts, terraform apply, two Debian guests, and the proof (KEEP=1 leaves it running)
	@python3 tools/setup.py build host guest
	@$(MAKE) --no-print-directory provider
	@$(PYTHON) -m tools.demo up $(if $(KEEP),--keep)

demo-down:  ## remove what `make demo KEEP=1` left
	@$(PYTHON) -m tools.demo down

dev: setup  ## control plane with simulated hosts in the foreground (HOSTS=3 PORT=8080 ADMIN_PASSWORD=password)
	@$(PYTHON) -m tools.dev --hosts $(HOSTS) --port $(PORT)

provider:  ## the Terraform provider, into a filesystem mirror; packed for other machines in build/providers
	@python3 tools/setup.py build host guest
	@$(PYTHON) tools/build_provider.py
	@$(PYTHON) -m tools.pack_provider

release: provider  ## sign the packed provider for Terraform's registry protocol (KEY=a GPG key of yours)
	@$(PYTHON) -m tools.sign_provider "$(KEY)"

bindings:  ## the Python packages steppe-cdktf and steppe-cdktn, as wheels in build/bindings
	@python3 tools/setup.py build
	@$(PYTHON) -m tools.build_bindings

BENCHES ?= $(filter-out __init__ dhcp_load priority rfb,$(notdir $(basename $(wildcard benchmarks/*.py))))
bench: setup terraform  ## the figures of benchmarks/ (BENCHES="dhcp create_vm": only these)
	@python3 tools/setup.py bench
	@$(MAKE) --no-print-directory provider
	@for name in $(BENCHES); do echo "== $$name"; $(PYTHON) -m benchmarks.$$name || exit 1; done

lock:  ## requirements.lock from pyproject.toml
	@.venv/bin/uv pip compile pyproject.toml --all-extras --group dev --generate-hashes --no-emit-index-url \
		--python-version 3.11 --no-annotate --quiet -o requirements.lock

clean:  ## forget caches and built files, not the Python environment
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.PHONY: terraform
terraform:
	@command -v terraform >/dev/null || command -v tofu >/dev/null || { \
		echo "terraform (or tofu) is not installed, and no Debian package has it." >&2; \
		echo "Put the binary of Terraform >= 1.5 (developer.hashicorp.com/terraform/install) or OpenTofu >= 1.6" >&2; \
		echo "(opentofu.org/docs/intro/install) into /usr/local/bin, then run make demo again." >&2; exit 1; }
