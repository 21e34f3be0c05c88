"""Updates the price book from genai-prices: adds rows for small changes, proposes large ones to an operator.

A price that moves by more than a fifth, or a model that is no longer listed, may be a mistake of the source.
It is not applied but becomes a proposal (billing/prices/proposals.py).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from genai_prices.data_snapshot import DataSnapshot

from billing.models import ModelPrice, PriceProposal
from billing.prices.book import DECLARED, OPERATOR, ListedPrice, Tiers, add_prices, load_price_book
from billing.prices.prices import PriceBook, PricePeriod, PriceTier, UnitPrices
from billing.prices.prices import unit_prices as prices_at
from billing.prices.proposals import Kind, propose, withdraw

SOURCE = "genai-prices"  # the beginning of `source` in rows from it
LARGEST_MOVE = Decimal("0.2")
# Our token class → genai-prices' field
_FIELDS = {
    "uncached_input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}


@transaction.atomic
def refresh(now: datetime, snapshot: DataSnapshot) -> int:
    """Add the prices that changed in the list, in force from now; all or, on any error, none.

    Returns how many rows were added.
    """
    book = load_price_book()
    known = ModelPrice.objects.exclude(source=DECLARED).values_list("model", flat=True).distinct()
    changed = []
    for model in sorted(known):
        current = book.at(model, now)
        if current is not None and current.source != DECLARED:
            changed += _compared(model, current, _listed(snapshot, model, now), now) or _scheduled(
                model, book, snapshot, now
            )
    _update_unpriced(snapshot, now)
    return add_prices(changed)


def _compared(model: str, current: PricePeriod, listed: Tiers | None, now: datetime) -> list[ListedPrice]:
    """The price to add after a small change; a proposal after a large one, or if the model is not listed."""
    ours = _as_listed(current.tiers)
    if listed is None:
        withdraw(model, [Kind.MOVED], now)
        if current.source.startswith(SOURCE):  # others were never listed: entered by hand or declared
            propose(model, Kind.VANISHED, ours, None, SOURCE, now)
        return []
    withdraw(model, [Kind.VANISHED], now)
    if listed == ours:
        waiting = PriceProposal.objects.filter(model=model, kind=Kind.MOVED, decided_at=None)
        if waiting.filter(effective_from=None).exists():
            withdraw(model, [Kind.MOVED], now)
        return []
    tiers = _with_unlisted(listed, current.tiers)
    if current.source == OPERATOR or _moves_far(ours, listed):  # an operator's price is never overruled
        propose(model, Kind.MOVED, ours, tiers, SOURCE, now)
        return []
    withdraw(model, [Kind.MOVED], now)
    return [ListedPrice(model, now, current.effective_until, tiers, SOURCE)]


def _scheduled(model: str, book: PriceBook, snapshot: DataSnapshot, now: datetime) -> list[ListedPrice]:
    """Announced price changes that our book does not have: small ones are added, large ones proposed."""
    if PriceProposal.objects.filter(
        model=model, kind=Kind.MOVED, decided_at=None, effective_from=None
    ).exists():
        return []  # the present price is decided first
    announced: list[ListedPrice] = []
    for start in _starts(snapshot, model, now):
        period, listed = book.at(model, start), _listed(snapshot, model, start)
        if period is None or listed is None or listed == (ours := _as_listed(period.tiers)):
            continue
        tiers = _with_unlisted(listed, period.tiers)
        if period.source == OPERATOR or _moves_far(ours, listed):
            propose(model, Kind.MOVED, ours, tiers, SOURCE, now, start)
            return announced
        announced.append(ListedPrice(model, start, period.effective_until, tiers, SOURCE))
    withdraw(model, [Kind.MOVED], now)
    return announced


def _starts(snapshot: DataSnapshot, model: str, now: datetime) -> list[datetime]:
    """The future days on which the model's listed price changes, in order."""
    try:
        _, info = snapshot.find_provider_model(model, None, None, None)
    except LookupError:
        return []
    if not isinstance(info.prices, list):
        return []
    days = {getattr(price.constraint, "start_date", None) for price in info.prices}
    starts = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days if day is not None)
    return sorted(start for start in starts if start > now)


def _update_unpriced(snapshot: DataSnapshot, now: datetime) -> None:
    """Add a price to proposals for unpriced models that are listed by now."""
    for pending in PriceProposal.objects.filter(kind=Kind.UNPRICED, decided_at=None):
        listed = _listed(snapshot, pending.model, now)
        if listed is not None:
            propose(pending.model, Kind.UNPRICED, None, listed, SOURCE, now)


def _as_listed(tiers: tuple[PriceTier, ...]) -> Tiers:
    return tuple((tier.over_input_tokens, _classes(tier.prices)) for tier in tiers)


def _classes(prices: UnitPrices) -> dict[str, Decimal]:
    return {name: getattr(prices, name).normalize() for name in _FIELDS}


def _with_unlisted(new: Tiers, old: tuple[PriceTier, ...]) -> Tiers:
    """One-hour cache writes keep their price ratio to short ones, and sound its ratio to other input."""
    tiers = []
    for over, prices in new:
        former = prices_at(old, over + 1)
        added = {"cache_write_1h": prices["cache_write"] * _ratio(former.cache_write_1h, former.cache_write)}
        if former.audio_input is not None:
            ratio = _ratio(former.audio_input, former.uncached_input)
            added["audio_input"] = prices["uncached_input"] * ratio
        tiers.append((over, prices | added))
    return tuple(tiers)


def _ratio(price: Decimal, base: Decimal) -> Decimal:
    return price / base if base else Decimal(1)


def _listed(snapshot: DataSnapshot, model: str, now: datetime) -> Tiers | None:
    """The model's listed prices now, tier by tier; None if it is not listed."""
    try:
        _, info = snapshot.find_provider_model(model, None, None, None)
        prices = info.get_prices(now)
    except LookupError:
        return None
    fields = {name: getattr(prices, field, None) for name, field in _FIELDS.items()}
    if fields["uncached_input"] is None or fields["output"] is None:
        return None
    starts = sorted({0} | {tier.start for price in fields.values() for tier in getattr(price, "tiers", ())})
    return tuple((start, _at_tier(fields, start)) for start in starts)


def _at_tier(fields: Mapping[str, Any], start: int) -> dict[str, Decimal]:
    """Classes that are not listed cost as much as plain input."""
    uncached = _price_at(fields["uncached_input"], start)
    return {name: uncached if price is None else _price_at(price, start) for name, price in fields.items()}


def _price_at(price: Any, start: int) -> Decimal:
    reached = [tier.price for tier in getattr(price, "tiers", ()) if start and tier.start <= start]
    return Decimal(reached[-1] if reached else getattr(price, "base", price)).normalize()


def _moves_far(old: Tiers, new: Tiers) -> bool:
    if [over for over, _ in old] != [over for over, _ in new]:
        return True
    pairs = [
        (before[name], after[name])
        for (_, before), (_, after) in zip(old, new, strict=True)
        for name in _FIELDS
    ]
    return any(abs(after - before) > before * LARGEST_MOVE for before, after in pairs)
