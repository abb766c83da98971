# Two commands: `make serve` and `make test`. The rest serves them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?=
PORT ?=
SERVE_FLAGS := $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

.PHONY: serve test system check engine starter compat bench clean

serve: $(VENV)/.base starter
	$(BIN)/hoshikage serve $(SERVE_FLAGS)

test: system $(VENV)/.dev check
	$(BIN)/python -m pytest

# Programs that the tests run and pip does not bring: Debian's own Docker registry, and openssl for a certificate.
system:
	@command -v docker-registry >/dev/null && command -v openssl >/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; apt-get -y -qq install docker-registry openssl || \
	      { apt-get -qq update && apt-get -y -qq install docker-registry openssl; }; \
	  else echo "docker-registry or openssl is missing; their tests are skipped: sudo apt-get install docker-registry openssl"; fi

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

# Fetches the embedded starter model where it is missing.
starter: $(VENV)/.base
	@$(BIN)/hoshikage list | grep -q '^ - starter:' || $(BIN)/hoshikage pull starter

# llama.cpp, compiled once per machine; BACKEND=cpu|cuda|vulkan|metal chooses (default: what fits this machine).
engine: $(VENV)/.pip
	$(BIN)/python -m hoshikage.engine.build

# Every real client against the real server.
compat: $(VENV)/.dev
	$(BIN)/python -m pytest compat/clients

bench: $(VENV)/.dev
	$(BIN)/python -m compat.peers.startup
	$(BIN)/python -m compat.peers.idle
	$(BIN)/python -m compat.peers.polling
	$(BIN)/python -m compat.peers.first_token
	$(BIN)/python -m compat.peers.loading
	$(BIN)/python -m compat.peers.throttled
	$(BIN)/python -m compat.peers.returning
	$(BIN)/python -m compat.peers.listing
	$(BIN)/python -m compat.peers.routes
	$(BIN)/python -m compat.peers.step_overhead
	$(BIN)/python -m compat.peers.two_engines
	$(BIN)/python -m compat.peers.repack
	$(BIN)/python -m compat.peers.agreement
	$(BIN)/python -m compat.peers.llama_server
	$(BIN)/python -m compat.peers.decode
	$(BIN)/python -m compat.peers.copying
	$(BIN)/python -m compat.peers.prefix
	$(BIN)/python -m compat.peers.resume
	$(BIN)/python -m compat.peers.gap

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hoshikage needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=python3.12, say."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "venv is missing: sudo apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.base: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m hoshikage.engine.build
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev --group compat
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
