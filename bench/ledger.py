"""`make bench-ledger`: what the ledger's two durable writes cost, through the real `Ledger` with whole rows.

Each request is opened and settled with one attempt in the scratch database (`DATABASE_URL`, else SQLite in
`VAR_DIR`). `open:50` sends 50 requests a second, `closed:32` keeps 32 in flight; `capped` has a limit on the
key and one on the account. CPU is this process's alone, user and system, with building the rows.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import django
import uvloop

_MODES = ("open:50", "closed:1", "closed:32", "closed:32:capped")
_TRACE_BYTES = 1200  # of a decision's trace, compressed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modes", nargs="*", default=_MODES, help="e.g. open:50 or closed:32:capped")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    for mode in arguments.modes:
        print(uvloop.run(_measured(mode, arguments.seconds)), flush=True)


async def _measured(mode: str, seconds: float) -> str:
    from billing.ledger.commits import commits
    from billing.ledger.ledger import Ledger
    from billing.ledger.writer import GroupWriter

    kind, number, *limits = mode.split(":")
    load = _Load(*await asyncio.to_thread(_new_key), is_capped=bool(limits))
    writer = GroupWriter(commits(), patience_s=5.0)
    load.ledger = Ledger(writer)
    await load.request()  # connects and creates the windows
    load.opened_s.clear()
    load.both_s.clear()
    cpu, began = time.process_time(), time.perf_counter()
    if kind == "closed":
        await asyncio.gather(*(_closed(load, began + seconds) for _ in range(int(number))))
    else:
        await _open(load, float(number), began + seconds)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    await writer.close()
    count = len(load.both_s)
    return (
        f"{mode}: {count / took:,.0f} requests/s, {cpu / count * 1e6:,.0f} µs CPU a request; "
        f"opening {_times(load.opened_s)}, both writes {_times(load.both_s)}"
    )


async def _closed(load: "_Load", until: float) -> None:
    while time.perf_counter() < until:
        await load.request()


async def _open(load: "_Load", per_second: float, until: float) -> None:
    requests, due = [], time.perf_counter()
    while due < until:
        requests.append(asyncio.create_task(load.request()))
        due += 1 / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.gather(*requests)


def _times(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return f"p50 {p50 * 1000:.1f} p99 {p99 * 1000:.1f} ms"


def _new_key() -> tuple[int, int]:
    from accounts.keys import create_key
    from accounts.models import Account, Plan

    plan, _ = Plan.objects.get_or_create(name="unlimited", defaults={"title": "Unlimited"})
    account = Account.objects.create(name="bench", plan=plan)
    return account.pk, create_key(account, "bench")[0].pk


class _Load:
    """Requests of one key, with the times of their writes in seconds."""

    ledger: Any

    def __init__(self, account_id: int, key_id: int, *, is_capped: bool) -> None:
        from billing.ledger.holds import Cap, HoldRequest
        from billing.ledger.ledger import OpenTerms
        from billing.ledger.windows import Payer
        from billing.prices.prices import UnitPrices
        from billing.usage import Usage

        caps = (
            Cap("key", key_id, "day", Decimal(10**6), None),
            Cap("account", account_id, "month", None, 10**12),
        )
        hold = HoldRequest(Decimal("0.0012"), Decimal("0.0001"), 600, 20)
        self._terms = OpenTerms(Payer(account_id, key_id), caps if is_capped else (), hold)
        self._ids: dict[str, Any] = {"account_id": account_id, "key_id": key_id}
        self._prices = UnitPrices(*[Decimal("3.000000")] * 5)
        self._usage = Usage(uncached_input_tokens=100, output_tokens=200)
        self._trace = os.urandom(_TRACE_BYTES)
        self.opened_s: list[float] = []
        self.both_s: list[float] = []

    async def request(self) -> None:
        began = time.perf_counter()
        row = self._row()
        await self.ledger.open(row, self._terms)
        self.opened_s.append(time.perf_counter() - began)
        settlement, attempt = self._end(row)
        await self.ledger.settle(row, self._terms.payer, settlement, [attempt])
        self.both_s.append(time.perf_counter() - began)

    def _row(self) -> Any:
        from billing.ledger.ledger import RequestRow
        from routing.language.ids import new_request_id

        now = datetime.now(UTC)
        return RequestRow(
            id=new_request_id(),
            owner="bench",
            created_at=now,
            lease_until=now + timedelta(minutes=3),
            door="native",
            mode="routeplex-ai",
            strategy="auto",
            query_type="coding",
            difficulty=0.3,
            forecast_visible_tokens=180,
            forecast_reasoning_tokens=0,
            routed_model="gpt-5-mini",
            baseline_model="gpt-5",
            prompt_hash="a" * 64,
            trace=self._trace,
            **self._ids,
        )

    def _end(self, row: Any) -> tuple[Any, Any]:
        from billing.ledger.ledger import AttemptRow, Settlement
        from billing.models import Request
        from billing.usage_columns import usage_fields

        cost = Decimal("0.000900000")
        answered: dict[str, Any] = {"ttft_ms": 5, "latency_ms": 12, "provider": "openai"}
        tokens: dict[str, Any] = usage_fields(self._usage)
        settlement = Settlement(
            request_id=row.id,
            status=Request.Status.SUCCEEDED,
            settled_at=datetime.now(UTC),
            usage=self._usage,
            cost_usd=cost,
            baseline_usd=cost,
            baseline_low_usd=cost,
            baseline_high_usd=cost,
            unit_prices=self._prices,
            price_version="bench",
            served_model="gpt-5-mini",
            upstream_model="gpt-5-mini",
            finish_reason="stop",
            fidelity={"receipt": []},
            **answered,
        )
        attempt = AttemptRow(
            request_id=row.id,
            number=1,
            model="gpt-5-mini",
            outcome="ok",
            status_code=200,
            started_at=row.created_at,
            cost_usd=cost,
            charged=True,
            unit_prices=self._prices,
            price_version="bench",
            provider_request_id="req_1",
            most_input_tokens=1200,
            most_output_tokens=4096,
            **answered,
            **tokens,
        )
        return settlement, attempt


if __name__ == "__main__":
    main()
