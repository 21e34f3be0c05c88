# Everything a newcomer needs: `make run`, `make test`; both set up what is missing. Needs python3 (3.11+) with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9

.PHONY: setup run test browser lint clean

setup: $(VENV)/.synced

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "RoutePlex needs Python 3.11 or newer (PYTHON=/path/to/python3 make ...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make a virtual environment: on Debian, apt install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/pip install --quiet uv==$(UV_VERSION)

$(VENV)/.synced: pyproject.toml uv.lock deploy/ctok.txt | $(UV)
	$(UV) sync --quiet --frozen --inexact --compile-bytecode --python $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --ignore-requires-python --require-hashes -r deploy/ctok.txt
	@touch $@

run: setup
	@$(BIN)/python manage.py run

test: setup browser
	$(BIN)/python -m pytest -n auto

# The journeys need a Chromium: the system's, else Debian's package (as root), else the one Playwright fetches.
browser: setup
	@command -v $${CHROMIUM:-chromium} >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| $(BIN)/playwright install chromium \
	|| { echo "The browser tests need Chromium: install it, or set CHROMIUM to its path."; exit 1; }

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

clean:
	rm -rf $(VENV) var
