"""Stores prices as rows that are only ever added, and loads them into a `PriceBook`."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from billing.models import ModelPrice
from billing.prices.prices import PriceBook, PricePeriod, PriceTier, UnitPrices

SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)
DECLARED = "UPSTREAMS setting"  # source of prices declared in the setting
OPERATOR = "operator"  # source of prices entered on the operator's page

Tiers = tuple[tuple[int, dict[str, Decimal]], ...]  # (over_input_tokens, {token class: USD per Mtok})


class ListedPrice(msgspec.Struct, frozen=True):
    """One model's prices for one period, as a source lists them, in USD per million tokens."""

    model: str
    effective_from: datetime
    effective_until: datetime | None
    tiers: Tiers
    source: str
    service_tier: str = ""

    @property
    def version(self) -> str:
        """The same prices have the same version, so that seeding twice adds nothing."""
        content = msgspec.json.encode((self.effective_from, self.tiers), order="deterministic")
        return hashlib.sha256(content).hexdigest()[:12]


def add_prices(listed: Iterable[ListedPrice]) -> int:
    """Add prices that differ from the latest of their period. Returns how many rows were added.

    Existing rows never change. Prices that return after others get a new version, so that the latest row
    always wins.
    """
    known = _versions()
    rows = [
        ModelPrice(
            model=price.model,
            service_tier=price.service_tier,
            effective_from=price.effective_from,
            effective_until=price.effective_until,
            over_input_tokens=over,
            token_class=token_class,
            usd_per_mtok=usd,
            source=price.source[:120],
            version=version,
        )
        for price in listed
        if (
            version := _new_version(
                price, known.get((price.model, price.service_tier, price.effective_from), ())
            )
        )
        for over, prices in price.tiers
        for token_class, usd in prices.items()
    ]
    ModelPrice.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def load_price_book() -> PriceBook:
    """All periods of all models, later versions of the same period winning."""
    periods: dict[tuple[str, str, datetime, str], list[ModelPrice]] = defaultdict(list)
    for row in ModelPrice.objects.order_by("-created_at", "-id"):
        periods[row.model, row.service_tier, row.effective_from, row.version].append(row)
    return PriceBook(_period(rows) for rows in periods.values())


def tiers_of(period: PricePeriod) -> Tiers:
    """A period's prices in the form of a source, with every token class."""
    return tuple((tier.over_input_tokens, _classes(tier.prices)) for tier in period.tiers)


def _classes(prices: UnitPrices) -> dict[str, Decimal]:
    fields: dict[str, Decimal | None] = msgspec.structs.asdict(prices)
    return {name: price for name, price in fields.items() if price is not None}


def _versions() -> dict[tuple[str, str, datetime], tuple[str, ...]]:
    """The versions of each (model, service tier, start of a period), oldest first."""
    rows = ModelPrice.objects.order_by("created_at", "id")
    versions: dict[tuple[str, str, datetime], dict[str, None]] = defaultdict(dict)
    for model, tier, start, version in rows.values_list("model", "service_tier", "effective_from", "version"):
        versions[model, tier, start][version] = None
    return {period: tuple(ordered) for period, ordered in versions.items()}


def _new_version(price: ListedPrice, so_far: tuple[str, ...]) -> str | None:
    """None if the latest of `so_far` has the same prices."""
    same = [version for version in so_far if version.partition(".")[0] == price.version]
    if same and same[-1] == so_far[-1]:
        return None
    return f"{price.version}.{len(same)}" if same else price.version


def _period(rows: list[ModelPrice]) -> PricePeriod:
    by_tier: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for row in rows:
        by_tier[row.over_input_tokens][row.token_class] = row.usd_per_mtok
    first = rows[0]
    return PricePeriod(
        model=first.model,
        version=first.version,
        tiers=tuple(PriceTier(over, _units(by_tier[over])) for over in sorted(by_tier)),
        effective_from=first.effective_from,
        effective_until=first.effective_until,
        source=first.source,
        service_tier=first.service_tier,
    )


def _units(prices: dict[str, Decimal]) -> UnitPrices:
    """Classes without a listed price cost as much as plain input; a one-hour cache write as a short one."""
    uncached = prices["uncached_input"]
    cache_write = prices.get("cache_write", uncached)
    return UnitPrices(
        uncached_input=uncached,
        output=prices["output"],
        cache_read=prices.get("cache_read", uncached),
        cache_write=cache_write,
        cache_write_1h=prices.get("cache_write_1h", cache_write),
        audio_input=prices.get("audio_input"),
    )
