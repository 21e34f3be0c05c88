"""Computes a re-pricing: each request's attempts at the book's prices for its time, and their sum.

Only reads and computes; billing/prices/repricing.py writes the result.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from billing.models import Attempt, Request
from billing.prices.prices import PriceBook, cost, unit_prices

ZERO = Decimal(0)


class NotReversible(Exception):
    """The batch can't be run, or undone, so that it could be reversed exactly; the message says why."""


class Totals(msgspec.Struct, frozen=True):
    """Totals of a re-pricing. USD are sums over the requests it changes; unpriced ones count 0."""

    requests: int = 0
    attempts: int = 0
    newly_priced: int = 0
    usd_before: Decimal = ZERO
    usd_after: Decimal = ZERO

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class AttemptPlan(msgspec.Struct, frozen=True):
    attempt: Attempt
    usd: Decimal
    unit_prices: Any
    version: str


class Plan(msgspec.Struct, frozen=True):
    """One request with its new price. `usd` None: another of its attempts still has no price."""

    request: Request
    attempts: tuple[AttemptPlan, ...]
    usd: Decimal | None
    unit_prices: Any
    version: str

    @property
    def held_usd(self) -> Decimal:
        """An unpriced request holds its ceiling until it has a price."""
        return self.request.held_usd if self.usd is None else ZERO

    @property
    def totals(self) -> Totals:
        return Totals(
            requests=1,
            attempts=len(self.attempts),
            newly_priced=int(self.request.cost_usd is None and self.usd is not None),
            usd_before=self.request.cost_usd or ZERO,
            usd_after=self.usd or ZERO,
        )


def plans(requests: Iterable[Request], model: str, book: PriceBook) -> Iterator[Plan]:
    rows = {row.pk: row for row in requests}
    charged: dict[str, list[Attempt]] = {}
    for attempt in Attempt.objects.filter(request_id__in=rows, charged=True).order_by("number"):
        charged.setdefault(attempt.request_id, []).append(attempt)
    for pk, attempts in sorted(charged.items()):
        plan = _plan(rows[pk], attempts, model, book)
        if plan.attempts:
            yield plan


def _plan(request: Request, attempts: Sequence[Attempt], model: str, book: PriceBook) -> Plan:
    of_model = [attempt for attempt in attempts if attempt.model == model]
    changed = [new for attempt in of_model if (new := _repriced(request, attempt, book)) is not None]
    after = {new.attempt.pk: new for new in changed}
    costs = [after[row.pk].usd if row.pk in after else row.cost_usd for row in attempts]
    last = after.get(attempts[-1].pk)
    return Plan(
        request=request,
        attempts=tuple(changed),
        usd=None if None in costs else sum((usd for usd in costs if usd is not None), ZERO),
        unit_prices=last.unit_prices if last else request.unit_prices,
        version=last.version if last else request.price_version,
    )


def _repriced(request: Request, attempt: Attempt, book: PriceBook) -> AttemptPlan | None:
    """None: the attempt has the book's price, or neither has a price."""
    usage = attempt.usage
    period = book.at(attempt.model, request.created_at, attempt.service_tier)
    if period is None:
        if attempt.cost_usd is None or not usage.total_tokens:
            return None
        raise NotReversible(
            f"Request {request.pk} has a price and the book has none for {attempt.model} at its time; "
            "enter one that is in force then, or choose another span."
        )
    prices = unit_prices(period.tiers, usage.input_tokens)
    usd, frozen = cost(usage, prices), msgspec.to_builtins(prices)
    if (attempt.cost_usd, attempt.price_version, attempt.unit_prices) == (usd, period.version, frozen):
        return None
    return AttemptPlan(attempt, usd, frozen, period.version)
