# make run     start the app (http://127.0.0.1:7860)
# make test    linters, type checker and every test, browser tests included
# make lint    linters and type checker only
# make format  let ruff rewrite the files
# make bench   measure speed and interaction; prints figures against targets

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What a stamp stands for is installed; a change of a requirements file makes it old.
APP_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

.PHONY: run test lint format bench chromium

run: $(APP_STAMP)
	$(BIN)/python app.py

# Browser tests share one worker (--dist loadgroup), so that one server and one browser are started.
test: lint chromium
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadgroup

# Gradio writes a .pyi beside a module that defines a component; mypy would read it instead of the module.
lint: $(DEV_STAMP)
	@find explorer -name '*.pyi' -delete
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(DEV_STAMP)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(DEV_STAMP) chromium
	@for script in benchmarks/[!_]*.py; do \
		name=$$(basename $$script .py); \
		echo "== $$name"; \
		$(BIN)/python -m benchmarks.$$name || exit 1; \
	done

# A browser that is there, else the one that Playwright fetches, else Debian's.
chromium: $(DEV_STAMP)
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	$(BIN)/python -m playwright install chromium || \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; }

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo "Python 3.10 or newer is needed; $(PYTHON) is older. Name another: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Some tools make a .venv without pip.
$(APP_STAMP): requirements.txt constraints.txt | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	$(INSTALL) --requirement requirements.txt
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(APP_STAMP)
	$(INSTALL) --requirement requirements-dev.txt
	@touch $@
