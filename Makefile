# `make run` serves the product, `make test` runs the tests; both install what is missing. Needs python3 (3.11+) with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9

.PHONY: setup run test conformance ecosystem test-chaos soak bench-ledger bench-reports bench-routing bench-learning bench-sessions bench-traffic bench-speed fit-requests fit-encoder fuzz screenshots browser lint audit-deps clean

setup: $(VENV)/.synced

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "RoutePlex needs Python 3.11 or newer (PYTHON=/path/to/python3 make ...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot create a virtual environment: on Debian, apt install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/pip install --quiet uv==$(UV_VERSION)

$(VENV)/.synced: pyproject.toml uv.lock deploy/ctok.txt | $(UV)
	$(UV) sync --quiet --frozen --inexact --compile-bytecode --python $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --ignore-requires-python --require-hashes -r deploy/ctok.txt
	@touch $@

run: setup
	@$(BIN)/python manage.py run

# Many tests wait for servers and clocks, so there are twice as many workers as cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, (os.cpu_count() or 2) * 2))')
# How often a failed test runs again. A test that passes then is listed with its first traceback: find out why.
RERUNS ?= 0
# Bytecode is written even where the environment turns that off: otherwise each worker, and each process a test starts,
# compiles the project again.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup browser
	$(BIN)/python -m pytest -n $(WORKERS) --reruns $(RERUNS) --rerun-show-tracebacks -rR

# Run every feature of every API on every provider, and write the tables of docs/conformance.md.
conformance: setup
	CONFORMANCE_WRITES=1 $(BIN)/python -m pytest -n 0 -s tests/conformance/test_matrix.py tests/conformance/test_helpers.py

# Run popular clients (docs/clients.md), and llmock in place of the providers, from their own lock file.
ecosystem: export PYTHONDONTWRITEBYTECODE :=
ecosystem: setup
	$(UV) sync --quiet --frozen --compile-bytecode --project tests/ecosystem --python $(BIN)/python
	cd tests/ecosystem && .venv/bin/python -m pytest --rootdir . -c pyproject.toml

# Make real processes fail. Needs the server programs of PostgreSQL and Redis. ROWS=21,22 selects rows (docs/reliability.md).
test-chaos: setup
	@$(BIN)/python -m tests.chaos

# Run long mixed load and check that nothing grows: `make soak N=20000` (docs/reliability.md).
N ?= 1000000
soak: setup
	@$(BIN)/python -m bench.soak --requests $(N)

# Time Home, Usage and their API for an account with N requests in 30 days (docs/reports.md).
bench-reports: setup
	@mkdir -p $${VAR_DIR:=var/bench-reports} && VAR_DIR=$$VAR_DIR $(BIN)/python -m bench.reports --requests $(N)

# Time the ledger's writes in a scratch database (docs/ledger.md): `make bench-ledger MODES="open:50 closed:32"`.
bench-ledger: setup
	@mkdir -p $${VAR_DIR:=var/bench-ledger} && VAR_DIR=$$VAR_DIR $(BIN)/python -m bench.ledger $(MODES)

# Measure routing on real outcomes, next to fixed models and a table by category. DATA is a folder of tables, EVAL another
# to judge on, OUT a JSON file (docs/routing-lab.md).
bench-routing: setup
	@test -n "$(DATA)" || { echo "Set DATA to a folder of outcome tables: docs/routing-lab.md has the format."; exit 1; }
	@$(BIN)/python -m bench.routing --data $(DATA) $(if $(EVAL),--eval $(EVAL)) $(if $(OUT),--out $(OUT))

# Measure what self-learning adds, replaying each table in DATA as one account (docs/routing-lab.md).
bench-learning: setup
	@test -n "$(DATA)" || { echo "Set DATA to a folder of outcome tables: docs/routing-lab.md has the format."; exit 1; }
	@$(BIN)/python -m bench.learning --data $(DATA)

# Measure what knowing a conversation's prompt cache saves (docs/routing-lab.md).
bench-sessions: setup
	@$(BIN)/python -m bench.sessions

# How well everyday requests that people rated are judged and routed (docs/routing-lab.md). PROMPTS has traffic.jsonl.
bench-traffic: setup
	@$(BIN)/python -m bench.traffic --prompts $(PROMPTS) --data $(DATA)

# Measure throughput, latency, streams and memory next to other gateways, which are installed below var/, and write
# docs/speed.md. QUICK=1 measures one target for half a minute. PROFILE=1 prints where the time goes. TARGETS="auto floor"
# and STORES="sqlite postgres" select. PostgreSQL and Redis are started, or those of DATABASE_URL and REDIS_URL are used.
bench-speed: setup
	@$(BIN)/python -m bench.speed $(if $(QUICK),--quick) $(if $(PROFILE),--profile) \
		$(if $(TARGETS),--targets $(TARGETS)) $(if $(STORES),--stores $(STORES))

# Fit the encoder on the rated requests in PROMPTS, from its own lock file, and write routing/encoder/artefact
# (docs/routing-lab.md). NETWORKS is a folder that keeps the trained networks.
fit-encoder: export UV_PROJECT_ENVIRONMENT := $(CURDIR)/var/fit-encoder
fit-encoder: setup
	@test -n "$(PROMPTS)" || { echo "Set PROMPTS to the folder with traffic.jsonl: docs/routing-lab.md describes it."; exit 1; }
	$(UV) sync --quiet --frozen --project bench/encoder --python $(BIN)/python
	@var/fit-encoder/bin/python -m bench.encoder --prompts $(PROMPTS) $(if $(NETWORKS),--networks $(NETWORKS))

# Fit the request model that the decision ships (routing/decide/prediction/artefact) on the same two folders.
fit-requests: setup
	@$(BIN)/python -m bench.traffic.fit --prompts $(PROMPTS) --data $(DATA)

# Send a running RoutePlex everything its OpenAPI document allows: `KEY=rp_live_… make fuzz N=500`.
fuzz: N := $(if $(filter command line,$(origin N)),$(N),200)
fuzz: setup
	$(BIN)/schemathesis run $${URL:-http://localhost:8000}/api/v1/openapi.json --url $${URL:-http://localhost:8000} \
		--header "Authorization: Bearer $$KEY" --checks not_a_server_error --max-examples $(N)

# Write a picture of every page at 390, 820 and 1440 px, light and dark: `make screenshots OUT=folder`.
OUT ?= var/screenshots
screenshots: setup browser
	@mkdir -p $(OUT)
	SCREENSHOTS=$(abspath $(OUT)) $(BIN)/python -m pytest -n 0 tests/journeys/screenshots.py

# The browser tests need Chromium: the system's, else Debian's package (as root), else the one Playwright downloads.
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

# Check that the lock matches pyproject.toml and that no locked package has a known vulnerability, at osv.dev or OSV_URL.
# No answer is a failure, unless UNREACHABLE=pass.
audit-deps: $(UV)
	$(UV) lock --offline --check
	@$(UV) audit --frozen --preview-features audit-command $(if $(OSV_URL),--service-url $(OSV_URL)); code=$$?; \
	if [ $$code -le 1 ]; then exit $$code; fi; \
	echo "NOT AUDITED: the vulnerability database could not be reached."; \
	[ "$(UNREACHABLE)" = pass ]

clean:
	rm -rf $(VENV) var
