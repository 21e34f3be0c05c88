"""`make bench-reports N=1000000`: the time of reporting pages for an account with that many requests.

Fills an empty scratch database (`DATABASE_URL`, else SQLite in `VAR_DIR`) with requests of 30 days, rolls the
closed hours up like the Celery task, and requests each page a few times through all of Django. A database
that already has requests is measured if this command wrote them, and refused otherwise.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from unittest import mock

import django

DAYS = 30
OWNER = "bench@reports.example"
_BATCH = 5_000
_ROUNDS = 5
_MODELS = (("gpt-5-mini", "openai"), ("claude-haiku-4-5", "anthropic"), ("gemini-2.5-flash", "google"))
_SKILLS = ("coding", "conversation", "mathematics", "writing", "humanities", "extraction")
_ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu")
_CANDIDATES = 12  # of a trace: it is most of a row's size
_MOST_KB = 120  # of HTML
# Every page of the dashboard; {request} is the newest one.
_PAGES = (
    "/", "/start", "/requests/", "/requests/?sort=-cost", "/requests/?q=team", "/requests/?status=failed",
    "/requests/{request}", "/usage/", "/usage/?period=30d&by=model", "/savings/", "/playground/", "/models/",
    "/models/gpt-5-mini", "/learning/", "/keys/", "/limits/", "/statements/", "/members/", "/audit/",
    "/settings/", "/search?q=usage", "/docs", "/docs/quickstart",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--no-rollups", action="store_true", help="as if the job had never run")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    account = _filled(arguments.requests)
    if not arguments.no_rollups:
        _rolled_up()
    for line in _measured(account):
        print(line, flush=True)
    return 0


def _filled(count: int) -> Any:
    from accounts.keys import create_key
    from accounts.models import Account, Member, Plan, User
    from billing.models import Request

    known = Member.objects.filter(user__email=OWNER).first()
    if known:
        return known.account
    if Request.objects.exists():
        sys.exit("This database holds requests: give an empty one in DATABASE_URL or VAR_DIR.")
    account = Account.objects.create(name="bench", plan=Plan.objects.get(name="unlimited"))
    keys = [create_key(account, f"key {number}")[0] for number in range(3)]
    began = time.monotonic()
    rows = (Request(**columns) for columns in _rows(count, account.pk, [key.pk for key in keys]))
    while batch := list(islice(rows, _BATCH)):
        Request.objects.bulk_create(batch)
    Member.objects.create(account=account, user=User.objects.create_user(OWNER))
    print(f"{count:,} requests written in {time.monotonic() - began:.0f} s", flush=True)
    return account


def _rows(count: int, account_id: int, keys: list[int]) -> Iterator[dict[str, Any]]:
    """Rows spread evenly over the days up to now; one in 50 failed, and a few have a long latency."""
    dice = random.Random(7)  # noqa: S311 - made-up rows
    now = datetime.now(UTC)
    step = timedelta(days=DAYS) / count
    trace = {"candidates": [_candidate(dice, number) for number in range(_CANDIDATES)]}
    for number in range(count):
        at = now - timedelta(days=DAYS) + number * step
        model, provider = dice.choice(_MODELS)
        failed = dice.random() < 0.02
        cost = Decimal(dice.randrange(10_000, 90_000_000)).scaleb(-9)
        yield {
            "id": f"req_{number:026d}",
            "account_id": account_id,
            "key_id": dice.choice(keys),
            "created_at": at,
            "settled_at": at + timedelta(seconds=1),
            "lease_until": at + timedelta(minutes=5),
            "status": "failed" if failed else "succeeded",
            "door": "native",
            "mode": "routeplex-ai",
            "strategy": dice.choice(("auto", "cost", "quality")),
            "query_type": dice.choice(_SKILLS),
            "routed_model": model,
            "served_model": "" if failed else model,
            "provider": "" if failed else provider,
            "fallback_used": dice.random() < 0.03,
            "uncached_input_tokens": 0 if failed else dice.randrange(20, 4_000),
            "output_tokens": 0 if failed else dice.randrange(5, 900),
            "cost_usd": Decimal(0) if failed else cost,
            "baseline_model": "large",
            "baseline_usd": None if failed else 3 * cost,
            "unit_prices": {"uncached_input": "0.25", "output": "2"},
            "latency_ms": int(dice.lognormvariate(6.8, 0.7)),
            "metadata": {"team": f"team {dice.randrange(8)}"},
            "trace": trace,
        }


def _candidate(dice: random.Random, number: int) -> dict[str, Any]:
    return {"arm": f"model-{number}@medium", "name": f"Model {number}", "provider": "openai"} | {
        name: dice.random()
        for name in ("p_success", "low", "high", "cost_usd", "latency_ms", "ttft_ms", "p_up", "utility")
    }


def _rolled_up() -> None:
    from billing.reports.rollup import roll_up

    began = time.monotonic()
    rolled = roll_up(datetime.now(UTC), seconds=3600)
    print(f"{rolled:,} hours rolled up in {time.monotonic() - began:.1f} s", flush=True)


def _measured(account: Any) -> Iterator[str]:
    from django.conf import settings
    from django.test import Client

    from accounts.keys import create_key
    from accounts.models import User

    settings.ALLOWED_HOSTS = ["testserver"]
    browser = Client()
    browser.force_login(
        User.objects.get(email=OWNER), backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    _, secret = create_key(account, "api")
    pages = [f"/?period={name}" for name in ("today", "7d", "30d")]
    for zone in _ZONES:
        type(account).objects.filter(pk=account.pk).update(time_zone=zone)
        User.objects.filter(email=OWNER).update(time_zone=zone)
        yield f"account and person in {zone}"
        for page in [*pages, "/usage/?period=30d&by=model", "/usage/?period=12m&by=key", "/requests/"]:
            yield _line(page, lambda page=page: browser.get(page))
    yield _line("/usage/?by=tag&tag=team", lambda: browser.get("/usage/?period=30d&by=tag&tag=team"))
    headers = {"Authorization": f"Bearer {secret}"}
    yield _line("GET /api/v1/usage", lambda: browser.get("/api/v1/usage", headers=headers))
    type(account).objects.filter(pk=account.pk).update(time_zone=_ZONES[0])
    User.objects.filter(email=OWNER).update(time_zone=_ZONES[0])
    yield f"every page, with its queries and HTML; * over {_MOST_KB} kB"
    newest = account.requests.latest("created_at").pk
    for page in _PAGES:
        yield _page_line(browser, page.format(request=newest))


def _line(name: str, ask: Any) -> str:
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        answer = ask()
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            sys.exit(f"{name} answered {answer.status_code}")
        if sum(taken) > 20_000:  # slow enough to know
            break
    return f"  {name:28} median {statistics.median(taken):8.1f} ms, worst {max(taken):8.1f} ms"


def _page_line(browser: Any, page: str) -> str:
    """The median time, the queries of one view, and the size of the HTML before compression."""
    from django.db.backends.utils import CursorWrapper

    counted = []

    def count(cursor: Any, *query: Any) -> Any:
        counted.append(query)
        return execute(cursor, *query)

    execute = CursorWrapper.execute  # of every thread's connection
    with mock.patch.object(CursorWrapper, "execute", count):
        response = browser.get(page)
    kb = len(response.content) / 1000
    mark = " *" if kb > _MOST_KB else ""
    return f"{_line(page, lambda: browser.get(page))}  {len(counted):3} queries  {kb:6.1f} kB{mark}"


if __name__ == "__main__":
    sys.exit(main())
