"""Reads the reviewed data files: models with their prices and scores, and retired ids."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from billing.prices.book import SINCE_EVER, ListedPrice

DATA = Path(__file__).parent / "data"

# catalog.json's word → billing's token class
_TOKEN_CLASSES = {
    "input": "uncached_input",
    "cached_input": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h",
    "output": "output",
    "input_audio": "audio_input",
}
# USD per million output tokens above which a model is in the premium tier. Chosen: the providers' cheap and
# middle models are below it, their top models above.
PREMIUM_OVER_USD = Decimal(10)


@cache
def listed_models() -> list[dict[str, Any]]:
    return json.loads((DATA / "catalog.json").read_text(), parse_float=Decimal)["models"]  # type: ignore[no-any-return]


@cache
def published_scores() -> dict[str, list[dict[str, Any]]]:
    """Return by model the scores of quality_priors.json (Arena, arena.ai, CC BY 4.0, and others)."""
    models = json.loads((DATA / "quality_priors.json").read_text())["models"]
    return {name: entry["scores"] for name, entry in models.items()}


@cache
def listed_retirements() -> list[dict[str, Any]]:
    """Return one entry for each retired id and alias."""
    entries = json.loads((DATA / "retired.json").read_text())
    return [
        entry | {"id": name, "retired": date.fromisoformat(entry["retired"])}
        for entry in entries
        for name in (entry["id"], *entry["aliases"])
    ]


@cache
def retirement_days() -> dict[str, date]:
    """Return by retired id the day from which its provider no longer serves it."""
    return {entry["id"]: entry["retired"] for entry in listed_retirements()}


@cache
def default_efforts() -> dict[str, str]:
    """Return by model the effort its provider uses when none is sent, where catalog.json does not say."""
    return {entry["id"]: entry["effort"] for entry in json.loads((DATA / "default_efforts.json").read_text())}


def listed_prices(model: dict[str, Any]) -> list[ListedPrice]:
    """Return a model's price periods; a later start ends the period before it."""
    periods = sorted(model["prices"], key=lambda period: period["effective_from"] or "")
    starts = [_moment(period["effective_from"]) or SINCE_EVER for period in periods]
    return [
        ListedPrice(
            model=model["id"],
            effective_from=start,
            effective_until=_moment(period.get("effective_until_excl"))
            or (starts[index + 1] if index + 1 < len(starts) else None),
            tiers=price_tiers(period["usd_per_mtok"]),
            source=model["price_source"],
        )
        for index, (start, period) in enumerate(zip(starts, periods, strict=True))
    ]


def tier_prices() -> list[ListedPrice]:
    """Return the prices of the service tiers flex and priority, where the provider has a list price."""
    entries = json.loads((DATA / "service_tiers.json").read_text(), parse_float=Decimal)
    return [
        ListedPrice(
            model=entry["model"],
            effective_from=_moment(entry["effective_from"]) or SINCE_EVER,
            effective_until=None,
            tiers=price_tiers(entry["usd_per_mtok"]),
            source=entry["source"],
            service_tier=entry["service_tier"],
        )
        for entry in entries
    ]


def price_tiers(usd_per_mtok: dict[str, Any]) -> tuple[tuple[int, dict[str, Decimal]], ...]:
    """Return for each long-prompt tier the price of each token class. A class without tiers costs the same in
    all of them."""
    listed = {
        _TOKEN_CLASSES[name]: price
        for name, price in usd_per_mtok.items()
        if name in _TOKEN_CLASSES and price is not None
    }
    overs = {0} | {
        tier["over_input_tokens"]
        for price in listed.values()
        if isinstance(price, dict)
        for tier in price["tiers"]
    }
    return tuple((over, {name: _at(price, over) for name, price in listed.items()}) for over in sorted(overs))


def tier_of(prices: list[ListedPrice], shutdown: date | None) -> str:
    """Return default or premium, by output price. A model with a shutdown date is never default."""
    output_price = max((tiers[0][1]["output"] for price in prices if (tiers := price.tiers)), default=None)
    return "premium" if shutdown or output_price is None or output_price > PREMIUM_OVER_USD else "default"


def _at(price: Any, over: int) -> Decimal:
    if not isinstance(price, dict):
        return Decimal(price)
    reached = [tier for tier in price["tiers"] if tier["over_input_tokens"] <= over]
    return Decimal(reached[-1]["price"] if reached and over else price["base"])


def _moment(day: str | None) -> datetime | None:
    return datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None
