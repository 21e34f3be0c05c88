"""Brings the price book up to date from genai-prices: only adds rows, and leaves the doubtful to a person.

A price that moves by more than a fifth, or a model that is no longer listed, may be a mistake of the source:
it is logged for an operator and not applied (spec/ledger.md, Prices).
"""

import logging
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from genai_prices.data_snapshot import DataSnapshot

from billing.models import ModelPrice
from billing.pricebook import DECLARED, ListedPrice, add_prices, load_price_book
from billing.prices import PriceTier, UnitPrices

logger = logging.getLogger(__name__)

SOURCE = "genai-prices"  # what the source of rows from it begins with
LARGEST_MOVE = Decimal("0.2")
# Our token class → genai-prices' field
_FIELDS = {
    "uncached_input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}


def refresh(now: datetime, snapshot: DataSnapshot) -> int:
    """Add what changed in the list, in force from now. Returns how many rows were added."""
    book = load_price_book()
    sources: dict[str, set[str]] = defaultdict(set)
    for model, source in (
        ModelPrice.objects.exclude(source=DECLARED).values_list("model", "source").distinct()
    ):
        sources[model].add(source)
    changed = []
    for model in sorted(sources):
        current = book.at(model, now)
        listed = _listed(snapshot, model, now)
        if current is None:
            continue
        if listed is None:
            if not any(source.startswith(SOURCE) for source in sources[model]):
                continue  # never was in it: its price was entered by hand
            logger.warning("%s is no longer in the price list; its price waits for an operator", model)
        elif listed != _as_listed(current.tiers):
            if _moves_far(_as_listed(current.tiers), listed):
                logger.warning("the price of %s moved by more than 20 %%; it waits for an operator", model)
            else:
                tiers = _with_long_writes(listed, current.tiers)
                changed.append(ListedPrice(model, now, current.effective_until, tiers, SOURCE))
    return add_prices(changed)


Tiers = tuple[tuple[int, dict[str, Decimal]], ...]


def _as_listed(tiers: tuple[PriceTier, ...]) -> Tiers:
    return tuple((tier.over_input_tokens, _classes(tier.prices)) for tier in tiers)


def _classes(prices: UnitPrices) -> dict[str, Decimal]:
    return {name: getattr(prices, name).normalize() for name in _FIELDS}


def _with_long_writes(new: Tiers, old: tuple[PriceTier, ...]) -> Tiers:
    """The list has no one-hour cache writes: they keep their ratio to the short ones."""
    return tuple(
        (over, prices | {"cache_write_1h": prices["cache_write"] * _long_ratio(tier.prices)})
        for (over, prices), tier in zip(new, old, strict=True)
    )


def _long_ratio(prices: UnitPrices) -> Decimal:
    return prices.cache_write_1h / prices.cache_write if prices.cache_write else Decimal(1)


def _listed(snapshot: DataSnapshot, model: str, now: datetime) -> Tiers | None:
    """What the list says of a model now, tier by tier; None when it is not listed."""
    try:
        _, info = snapshot.find_provider_model(model, None, None, None)
        prices = info.get_prices(now)
    except LookupError:
        return None
    fields = {name: getattr(prices, field, None) for name, field in _FIELDS.items()}
    if fields["uncached_input"] is None or fields["output"] is None:
        return None
    starts = sorted({0} | {tier.start for price in fields.values() for tier in getattr(price, "tiers", ())})
    tiers = []
    for start in starts:
        at = {name: _price_at(price, start) for name, price in fields.items()}
        uncached = at["uncached_input"]
        tiers.append((start, {name: price if price is not None else uncached for name, price in at.items()}))
    return tuple(tiers)  # type: ignore[arg-type]  # uncached input is known, checked above


def _price_at(price: Any, start: int) -> Decimal | None:
    if price is None:
        return None
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
