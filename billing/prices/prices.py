"""The price book: the price of a token at a given time, and the cost of a completion's usage in USD.

Pure arithmetic on Decimal; the rows come from `billing.models.ModelPrice` (docs/ledger.md).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from billing.usage import Usage

USD_QUANTUM = Decimal("0.000000001")  # money is exact to 1e-9 USD
_MILLION = Decimal(1_000_000)


class UnitPrices(msgspec.Struct, frozen=True, omit_defaults=True):
    """USD per million tokens, by token class. Reasoning is billed as output.

    `audio_input` None: audio costs as much as other uncached input.
    """

    uncached_input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    audio_input: Decimal | None = None


class PriceTier(msgspec.Struct, frozen=True):
    """Prices of requests whose whole input exceeds `over_input_tokens`; they apply to the whole request."""

    over_input_tokens: int
    prices: UnitPrices


class PricePeriod(msgspec.Struct, frozen=True):
    """One model's tiers from `effective_from` (None: always) until before `effective_until` (None: open)."""

    model: str
    version: str
    tiers: tuple[PriceTier, ...]  # ascending by over_input_tokens, the first at 0
    effective_from: datetime | None = None
    effective_until: datetime | None = None
    source: str = ""
    service_tier: str = ""  # the provider's flex or priority; empty: its standard tier


class PriceBook:
    """Effective-dated prices of all models. Immutable; a refresh creates a new book."""

    def __init__(self, periods: Iterable[PricePeriod]) -> None:
        self._periods: dict[tuple[str, str], list[PricePeriod]] = {}
        for period in periods:
            self._periods.setdefault((period.model, period.service_tier), []).append(period)
        for rows in self._periods.values():  # the latest start wins where periods overlap
            rows.sort(key=_start, reverse=True)

    def at(self, model: str, moment: datetime, service_tier: str = "") -> PricePeriod | None:
        """The period in force, or None: the model is unpriced at that time, or in that tier."""
        for row in self._periods.get((model, service_tier), ()):
            since, until = row.effective_from, row.effective_until
            if (since is None or since <= moment) and (until is None or moment < until):
                return row
        return None


def _start(period: PricePeriod) -> datetime:
    return period.effective_from or datetime.min.replace(tzinfo=UTC)


def unit_prices(tiers: tuple[PriceTier, ...], input_tokens: int) -> UnitPrices:
    """The prices that apply to a request with that many input tokens."""
    chosen = tiers[0]
    for tier in tiers[1:]:
        if input_tokens > tier.over_input_tokens:
            chosen = tier
    return chosen.prices


def cost(usage: Usage, prices: UnitPrices) -> Decimal:
    """USD for a completion, rounded half-even to 1e-9."""
    total = usage.uncached_input_tokens * prices.uncached_input + usage.output_tokens * prices.output
    if usage.cache_read_tokens:
        total += usage.cache_read_tokens * prices.cache_read
    if usage.cache_write_tokens:
        total += usage.cache_write_tokens * prices.cache_write
    if usage.cache_write_1h_tokens:
        total += usage.cache_write_1h_tokens * prices.cache_write_1h
    if usage.audio_input_tokens and prices.audio_input is not None:
        total += usage.audio_input_tokens * (prices.audio_input - prices.uncached_input)
    return usd(total)


def usd(total: Decimal) -> Decimal:
    """USD for a sum of tokens times prices per million, rounded half-even to 1e-9."""
    return (total / _MILLION).quantize(USD_QUANTUM, rounding=ROUND_HALF_EVEN)
