"""Prices attempts: the usage of each upstream call, as reported or estimated, and what it costs."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from billing.prices.prices import PriceBook, UnitPrices, cost, unit_prices
from billing.usage import Usage
from routing.execute.attempt import AttemptRecord
from routing.steps.attempt_usage import usage_of


class PricedAttempt(msgspec.Struct, frozen=True):
    """Usage of one attempt with its cost in USD; `usd` None: no price is known for that model and time."""

    usage: Usage
    usd: Decimal | None
    prices: UnitPrices | None
    version: str
    charged: bool  # the caller got its answer, or a part of it


def price(attempt: AttemptRecord, book: PriceBook, moment: datetime) -> PricedAttempt:
    """Price the attempt's usage, as reported or counted here. `moment`: whose prices apply."""
    usage = usage_of(attempt)
    charged = attempt.outcome != "failed"  # a part that reached the caller is "partial" or "aborted"
    model = attempt.arm.model
    # A tier that was served without having been sent may have no price: then the standard one holds.
    period = book.at(model, moment, attempt.service_tier) or book.at(model, moment)
    if period is None:
        return PricedAttempt(usage, None if usage.total_tokens else Decimal(0), None, "", charged)
    prices = unit_prices(period.tiers, usage.input_tokens // attempt.calls)  # a price tier is per call
    return PricedAttempt(usage, cost(usage, prices), prices, period.version, charged)


def total_usd(priced: Sequence[PricedAttempt]) -> Decimal | None:
    """None: one of them has no price."""
    if any(attempt.usd is None for attempt in priced):
        return None
    return sum((attempt.usd for attempt in priced if attempt.usd is not None), Decimal(0))
