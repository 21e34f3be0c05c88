"""Prices attempts: the usage of each upstream call, as reported or estimated, and what it costs."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from billing.prices.prices import PriceBook, UnitPrices, cost, unit_prices
from billing.usage import Usage
from routing.decide.prediction.tokens import exact_count
from routing.execute.attempt import AttemptRecord


class PricedAttempt(msgspec.Struct, frozen=True):
    """Usage of one attempt with its cost in USD; `usd` None: no price is known for that model and time."""

    usage: Usage
    usd: Decimal | None
    prices: UnitPrices | None
    version: str
    charged: bool  # the caller got its answer, or a part of it


def price(attempt: AttemptRecord, input_tokens: int, book: PriceBook, moment: datetime) -> PricedAttempt:
    """Usage is the provider's report; where text came without a report, tokens are counted here.

    A call that was closed at the caller's limit has no full report: its reasoning is taken from the forecast.
    `input_tokens`: the decision's count of the input, for that estimate. `moment`: whose prices apply.
    """
    usage = attempt.usage
    text = "".join(attempt.text)
    is_partial = attempt.outcome != "ok" and text and usage is not None and usage.output_tokens == 0
    if usage is None or is_partial or attempt.ended_early:
        known = usage or Usage(uncached_input_tokens=input_tokens * attempt.calls if text else 0)
        output_tokens = exact_count(text, attempt.facts) if text else 0
        reasoning_tokens = known.reasoning_tokens
        if attempt.ended_early:
            most = (attempt.most_output_tokens or 0) * attempt.choices  # what the provider kept to
            reasoning_tokens = reasoning_tokens or min(attempt.expected_reasoning, most - output_tokens)
            output_tokens = max(known.output_tokens, output_tokens + reasoning_tokens)
        usage = msgspec.structs.replace(
            known, output_tokens=output_tokens, reasoning_tokens=reasoning_tokens, estimated=bool(text)
        )
    charged = attempt.outcome != "failed"  # a part that reached the caller is "partial" or "aborted"
    period = book.at(attempt.arm.model, moment)
    if period is None:
        return PricedAttempt(usage, None if usage.total_tokens else Decimal(0), None, "", charged)
    prices = unit_prices(period.tiers, usage.input_tokens // attempt.calls)  # a price tier is per call
    return PricedAttempt(usage, cost(usage, prices), prices, period.version, charged)


def total_usd(priced: Sequence[PricedAttempt]) -> Decimal | None:
    """None: one of them has no price."""
    if any(attempt.usd is None for attempt in priced):
        return None
    return sum((attempt.usd for attempt in priced if attempt.usd is not None), Decimal(0))
