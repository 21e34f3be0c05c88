"""The cost of the baseline model for an answered request, from its own forecast tokens.

Its output, reasoning included, is the forecast of the decision, scaled by the answer's visible tokens over
those that were forecast for it: when the answer is twice as long as expected, so is the baseline's. Its input
is counted for its own tokenizer and split into cached and uncached tokens as the answer's was.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from billing.prices.prices import PriceBook, cost, unit_prices
from billing.usage import Usage, total_usage
from routing.decide.forecast import interval
from routing.decide.prediction.tokens import exact_count
from routing.decide.trace import Baseline
from routing.execute.attempt import AttemptRecord
from routing.steps.attempt_prices import PricedAttempt

Charged = Sequence[tuple[AttemptRecord, PricedAttempt]]


class BaselineCost(msgspec.Struct, frozen=True):
    """USD; None: unpriced, or not known. `low_usd` and `high_usd`: the 90 % interval of the forecast."""

    usd: Decimal | None = None
    low_usd: Decimal | None = None
    high_usd: Decimal | None = None


def baseline_cost(
    baseline: Baseline | None, charged: Charged, book: PriceBook, moment: datetime
) -> BaselineCost:
    """`charged`: the attempts that delivered the answer. When the baseline itself answered, what was paid."""
    if baseline is None or baseline.spread is None or not charged:
        return BaselineCost()
    if len(charged) == 1 and _is_baseline(baseline, charged[0][0]):
        paid = charged[0][1].usd
        return BaselineCost(paid, paid, paid)
    period = book.at(baseline.model, moment)
    if period is None:
        return BaselineCost()
    prices = unit_prices(period.tiers, baseline.input_tokens or 0)
    visible = sum(visible_tokens(*pair) for pair in charged)
    most = baseline.max_output_tokens or 0
    tokens = min(baseline_output(baseline, visible), max(most, visible))
    low, high = interval(tokens, max(most, visible), baseline.spread)
    paid_for = total_usage(priced.usage for _, priced in charged)
    usage = _input((baseline.input_tokens or 0) * baseline.calls, paid_for)
    return BaselineCost(
        *(
            cost(msgspec.structs.replace(usage, output_tokens=round(output)), prices)
            for output in (tokens, low, high)
        )
    )


def baseline_output(baseline: Baseline, visible: int) -> float:
    """Output tokens of the baseline for an answer of so many visible tokens."""
    forecast = (baseline.visible_tokens or 0) + (baseline.reasoning_tokens or 0)
    return forecast * visible / max(baseline.answer_tokens or 0, 1)


def visible_tokens(attempt: AttemptRecord, priced: PricedAttempt) -> int:
    """Output tokens without reasoning.

    A provider that does not report reasoning apart counts it as output. There the delivered text of a model
    that reasons is counted.
    """
    usage, reasons = priced.usage, attempt.facts.efforts or attempt.facts.default_effort
    if usage.reasoning_tokens or usage.estimated or not reasons:
        return usage.output_tokens - usage.reasoning_tokens
    return min(usage.output_tokens, exact_count(attempt.written, attempt.facts))


def _is_baseline(baseline: Baseline, attempt: AttemptRecord) -> bool:
    effort = attempt.arm.effort or attempt.facts.default_effort
    return (attempt.arm.model, effort) == (baseline.model, baseline.effort)


def _input(tokens: int, paid_for: Usage) -> Usage:
    """So many input tokens, split into the classes of the answer's input."""
    share = tokens / paid_for.input_tokens if paid_for.input_tokens else 0
    cached = {
        name: round(getattr(paid_for, name) * share)
        for name in ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    }
    return Usage(uncached_input_tokens=max(tokens - sum(cached.values()), 0), **cached)
