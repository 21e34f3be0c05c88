# Everything a newcomer needs: `make run`, `make test`; both set up what is missing. Needs python3 (3.11+) with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9

.PHONY: setup run test conformance ecosystem test-chaos soak bench-reports bench-routing bench-learning bench-sessions fuzz browser lint audit-deps clean

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

# Many tests wait for servers and clocks: half as many workers again as there are cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, (os.cpu_count() or 2) * 3 // 2))')
test: setup browser
	$(BIN)/python -m pytest -n $(WORKERS)

# Every feature of every door on every provider's API, and the clients' helpers, as tables that are also written into
# docs/conformance.md.
conformance: setup
	CONFORMANCE_WRITES=1 $(BIN)/python -m pytest -n 0 -s tests/conformance/test_matrix.py tests/conformance/test_helpers.py

# LangChain, LlamaIndex, pydantic-ai, instructor, llm and Vercel's AI SDK, from a lock of their own.
ecosystem: setup
	$(UV) sync --quiet --frozen --project tests/ecosystem --python $(BIN)/python
	cd tests/ecosystem && .venv/bin/python -m pytest --rootdir . -c pyproject.toml

# Real processes that fail: needs PostgreSQL's and Redis's server programs. ROWS=21,22 selects (docs/reliability.md).
test-chaos: setup
	@$(BIN)/python -m tests.chaos

# Mixed load for as long as it takes, and whether anything grows: `make soak N=20000` (docs/reliability.md).
N ?= 1000000
soak: setup
	@$(BIN)/python -m bench.soak --requests $(N)

# How long Home, Usage and their API take over an account with N requests in 30 days (docs/reports.md).
bench-reports: setup
	@mkdir -p $${VAR_DIR:=var/bench-reports} && VAR_DIR=$$VAR_DIR $(BIN)/python -m bench.reports --requests $(N)

# How good routing is, on real outcomes, beside what a fixed model or a table by category gives (docs/routing.md).
DATA ?= ../shared/data/routing/dev
bench-routing: setup
	@$(BIN)/python -m bench.routing --data $(DATA) $(if $(EVAL),--eval $(EVAL)) $(if $(OUT),--out $(OUT))

# What self-learning is worth, each source of outcomes played as one account (docs/routing.md).
bench-learning: setup
	@$(BIN)/python -m bench.learning --data $(DATA)

# What it saves to know that a conversation's prompt is cached (docs/routing.md).
bench-sessions: setup
	@$(BIN)/python -m bench.sessions

# Everything the OpenAPI document lets one send, to a running RoutePlex: `KEY=rp_live_… make fuzz N=500`.
fuzz: N := $(if $(filter command line,$(origin N)),$(N),200)
fuzz: setup
	$(BIN)/schemathesis run $${URL:-http://localhost:8000}/api/v1/openapi.json --url $${URL:-http://localhost:8000} \
		--header "Authorization: Bearer $$KEY" --checks not_a_server_error --max-examples $(N)

# The journeys need a Chromium: the system's, else Debian's package (as root), else the one Playwright fetches.
browser: setup
	@command -v $${CHROMIUM:-chromium} >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| $(BIN)/playwright install chromium \
	|| { echo "The browser tests need Chromium: install it, or set CHROMIUM to its path."; exit 1; }

lint: setup
	$(UV) lock --offline --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

# Whether the lock is what pyproject.toml asks for, and whether a locked package has a known vulnerability. Asks osv.dev,
# or OSV_URL. Not to know is a failure, unless UNREACHABLE=pass says that it shall not be.
audit-deps: $(UV)
	$(UV) lock --offline --check
	@$(UV) audit --frozen --preview-features audit-command $(if $(OSV_URL),--service-url $(OSV_URL)); code=$$?; \
	if [ $$code -le 1 ]; then exit $$code; fi; \
	echo "NOT AUDITED: no source of known vulnerabilities could be reached; nothing is known of the locked packages."; \
	[ "$(UNREACHABLE)" = pass ]

clean:
	rm -rf $(VENV) var
