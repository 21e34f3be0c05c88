"""Writes requests through the ledger itself, in the test's own transaction: open, attempt, settle."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.keys import create_key
from accounts.models import Account, ApiKey, Plan
from billing.ledger.commits import apply
from billing.ledger.entries import AttemptRow, OpenTerms, OpenWrite, RequestRow, Settlement, SettleWrite
from billing.ledger.holds import HoldRequest
from billing.ledger.windows import Payer
from billing.models import Request
from billing.prices.book import load_price_book
from billing.prices.prices import UnitPrices, cost, unit_prices
from billing.usage import Usage
from billing.usage_columns import usage_fields
from routing.language.ids import new_request_id

CEILING = UnitPrices(*[Decimal(600)] * 5)
_numbers = itertools.count(1)


class Books:
    """An account with a key, and a way to make it spend."""

    def __init__(self, time_zone: str = "UTC") -> None:
        plan, _ = Plan.objects.get_or_create(name="unlimited", defaults={"title": "Unlimited"})
        self.account: Account = Account.objects.create(name=f"books {next(_numbers)}", plan=plan)
        self.key: ApiKey = create_key(self.account, "books")[0]
        self.payer = Payer(self.account.pk, self.key.pk, time_zone)

    def opened(self, when: datetime, **columns: Any) -> Request:
        return Request.objects.get(pk=self._open(when, **columns).id)

    def _open(self, when: datetime, **columns: Any) -> RequestRow:
        defaults: dict[str, Any] = {
            "id": new_request_id(),
            "account_id": self.account.pk,
            "key_id": self.key.pk,
            "created_at": when,
            "owner": "tests",
            "lease_until": datetime.now(UTC) + timedelta(days=9999),  # not what these tests are about
            "door": "native",
            "mode": "routeplex-ai",
            "strategy": "auto",
            "routed_model": "m",
            "trace": {},
        }
        row = RequestRow(**defaults | columns)
        with transaction.atomic():
            apply(
                [
                    OpenWrite(
                        row,
                        OpenTerms(self.payer, hold_request=HoldRequest(Decimal("0.5"), Decimal(0), 5000, 0)),
                    )
                ],
                False,
            )
        return row

    def settled(
        self, when: datetime, *spent: tuple[str, Usage], failed: tuple[str, Usage] | None = None
    ) -> Request:
        """A request charged for an attempt by each (model, usage), at the book's prices; `failed` is not."""
        row = self._open(when)
        attempts = [_attempt(row, 1, *failed, charged=False)] if failed else []
        attempts += [_attempt(row, len(attempts) + n, *spending) for n, spending in enumerate(spent, start=1)]
        charged = [attempt for attempt in attempts if attempt.charged]
        usage = sum((used for _, used in spent), Usage())
        costs = [attempt.cost_usd for attempt in charged]
        usd = None if None in costs else sum(costs, Decimal(0))
        last = charged[-1]
        settlement = Settlement(
            request_id=row.id,
            status=Request.Status.SUCCEEDED,
            settled_at=when + timedelta(seconds=1),
            latency_ms=1000,
            usage=usage,
            cost_usd=usd,
            held_usd=cost(usage, CEILING) if usd is None else Decimal(0),
            unit_prices=last.unit_prices,
            price_version=last.price_version,
            served_model=last.model,
            provider="books",
        )
        with transaction.atomic():
            apply([SettleWrite(row, self.payer, settlement, tuple(attempts))], False)
        return Request.objects.get(pk=row.id)


def _attempt(row: RequestRow, number: int, model: str, usage: Usage, *, charged: bool = True) -> AttemptRow:
    period = load_price_book().at(model, row.created_at)
    prices = unit_prices(period.tiers, usage.input_tokens) if period else None
    return AttemptRow(
        request_id=row.id,
        number=number,
        model=model,
        provider="books",
        outcome="ok" if charged else "failed",
        started_at=row.created_at,
        latency_ms=900,
        charged=charged,
        cost_usd=cost(usage, prices) if prices else None,
        unit_prices=prices,
        price_version=period.version if period else "",
        **usage_fields(usage),
    )
