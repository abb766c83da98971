# Two commands: `make serve` and `make test`. The rest serves them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?=
PORT ?=
SERVE_FLAGS := $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

WEBUI := .venv-openwebui
WEBUI_VERSION := 0.12.4
JS := compat/clients/js

.PHONY: serve test system check engine starter compat browser bench clean

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

# Every real client against the real server: what `make test` runs of them, the frameworks, node and Open WebUI; and
# workers and gateways that die, fifty rounds instead of 25.
compat: $(VENV)/.compat $(JS)/node_modules/.package-lock.json $(WEBUI)/.ready browser
	$(BIN)/python -m pytest compat/clients
	CRASH_ROUNDS=50 $(BIN)/python -m pytest tests/crash

$(VENV)/.compat: $(VENV)/.dev pyproject.toml
	$(BIN)/python -m pip install --quiet --group compat
	@touch $@

$(JS)/node_modules/.package-lock.json: $(JS)/package.json $(JS)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: sudo apt-get install nodejs npm"; exit 1; }
	npm ci --prefix $(JS) --no-fund --no-audit
	@touch $@

# Open WebUI without torch: its wheel, what it names for its slim image, and what it imports beyond that; all at once,
# since two calls do not agree on the versions.
$(WEBUI)/.ready: Makefile
	rm -rf $(WEBUI)
	$(PYTHON) -m venv $(WEBUI)
	$(WEBUI)/bin/python -m pip install --quiet --no-deps open-webui==$(WEBUI_VERSION)
	$(WEBUI)/bin/python -m pip install --quiet -r $$(echo $(WEBUI)/lib/python3*/site-packages/requirements-slim.txt) \
	  chromadb==1.5.9 pydub azure-storage-blob==12.29.0 google-cloud-storage==3.9.0
	@touch $@

# The browser that drives Open WebUI, with fonts for what it shows.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -y -qq install --no-install-recommends \
	      chromium chromium-driver fonts-liberation fonts-noto-cjk fonts-noto-color-emoji; \
	  else echo "missing: sudo apt-get install chromium chromium-driver fonts-noto-cjk"; exit 1; fi

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
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

clean:
	rm -rf $(VENV) $(WEBUI) $(JS)/node_modules .mypy_cache .pytest_cache .ruff_cache
