"""The catalog's models as the simulator imitates them: limits, prices, quirks and names."""

import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec

CATALOG_PATH = Path(__file__).resolve().parents[2] / "catalog" / "data" / "catalog.json"

# Ids that providers had switched off by 2026-10-23.
RETIRED = frozenset(
    {
        "o1",
        "o3-mini",
        "o4-mini",
        "gpt-4",
        "gpt-4-turbo",
        "gpt-3.5-turbo",
        "gpt-4.1-nano",
        "gpt-4o-2024-05-13",
    }
)

# Output price (USD per million tokens) up to which a model counts as of this tier.
_TIER_CEILINGS = ((1.0, 0), (6.0, 1), (15.0, 2))


class Match(msgspec.Struct, frozen=True):
    equals: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()


class Model(msgspec.Struct, frozen=True, dict=True):
    """A row of catalog.json; token limits, prices in USD per million tokens."""

    id: str
    provider: str
    name: str | None
    status: str
    context_window: int
    max_input_tokens: int
    max_output_tokens: int
    prices: tuple[dict[str, Any], ...]
    capabilities: dict[str, bool]
    quirks: dict[str, Any]
    release_date: str | None = None
    shutdown_date: str | None = None
    match: Match | None = None

    @cached_property
    def _prices_now(self) -> dict[str, Any]:
        """The row in force on the catalog's own date: a simulator doesn't change with the calendar."""
        begun = [row for row in self.prices if (row.get("effective_from") or "") <= _read().generated]
        return dict((begun or list(self.prices))[-1]["usd_per_mtok"])

    @cached_property
    def tier(self) -> int:
        """0 (small) to 3 (largest), from the price of output."""
        price = self._prices_now["output"]
        price = price["base"] if isinstance(price, dict) else price
        return next((tier for ceiling, tier in _TIER_CEILINGS if price <= ceiling), 3)

    @cached_property
    def bills_cache_writes(self) -> bool:
        return "cache_write" in self._prices_now

    @cached_property
    def thinks(self) -> bool:
        return bool(self.capabilities.get("reasoning"))

    def answers_to(self, name: str) -> bool:
        """Return whether `name` means this model, by the catalog's match rules or a dated form of the id.

        A pattern that is only a negative look-ahead narrows the other rules; it matches nothing itself.
        """
        if name == self.id or re.fullmatch(re.escape(self.id) + r"-(\d{8}|\d{4}-\d{2}-\d{2})", name):
            return True
        rules = self.match
        if rules is None:
            return False
        vetoes = [pattern for pattern in rules.regex if pattern.startswith("^(?!")]
        if any(re.search(pattern, name) is None for pattern in vetoes):
            return False
        return (
            name in rules.equals
            or any(name.startswith(start) for start in rules.starts_with)
            or any(re.search(pattern, name) for pattern in rules.regex if pattern not in vetoes)
        )


class _Catalog(msgspec.Struct):
    generated: str
    models: tuple[Model, ...]


def catalog() -> tuple[Model, ...]:
    return _read().models


def of_provider(provider: str) -> tuple[Model, ...]:
    return tuple(model for model in catalog() if model.provider == provider)


@lru_cache(maxsize=1024)
def find(provider: str, name: str) -> Model | None:
    """The provider's model of that name, exact ids first; None for unknown and retired names."""
    if name in RETIRED:
        return None
    models = of_provider(provider)
    exact = next((model for model in models if model.id == name), None)
    return exact or next((model for model in models if model.answers_to(name)), None)


@lru_cache(maxsize=1)
def _read() -> _Catalog:
    return msgspec.json.decode(CATALOG_PATH.read_bytes(), type=_Catalog)
