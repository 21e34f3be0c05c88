"""The cost of a finished request's tokens at other models' prices of that moment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec

from billing.models import Request
from billing.prices.prices import PriceBook, cost, unit_prices
from billing.usage import Usage


@dataclass(frozen=True)
class Counterfactual:
    """One other model. `difference_usd` is its cost less what was paid: positive is what routing saved."""

    model: str
    usd: Decimal | None  # None: no price is known for that moment
    difference_usd: Decimal | None
    times: float | None  # its cost as a multiple of what was paid
    is_baseline: bool = False


@dataclass(frozen=True)
class UsageLine:
    """One token class: how many, at which unit price, for how much. `usd` is exact, not rounded."""

    title: str
    tokens: int
    usd_per_mtok: Decimal | None
    usd: Decimal | None
    note: str = ""
    share: float | None = None  # of the cost of all classes


_CLASSES = (
    ("uncached_input", "uncached_input_tokens", "Input"),
    ("cache_read", "cache_read_tokens", "Input read from cache"),
    ("cache_write", "cache_write_tokens", "Input written to cache"),
    ("cache_write_1h", "cache_write_1h_tokens", "Input written to cache for an hour"),
    ("output", "output_tokens", "Output"),
)
_MILLION = Decimal(1_000_000)


def usage_of(row: Request) -> Usage:
    return msgspec.structs.replace(row.usage, estimated=row.usage_estimated)


def usage_lines(row: Request) -> list[UsageLine]:
    """The classes that were used, with the unit prices frozen on the row."""
    prices = row.unit_prices or {}
    lines = [
        _line(title, getattr(row, column), prices.get(name), row)
        for name, column, title in _CLASSES
        if getattr(row, column) or name in ("uncached_input", "output")
    ]
    total = sum(line.usd or 0 for line in lines)
    return [replace(line, share=float((line.usd or 0) / total) if total else None) for line in lines]


def counterfactuals(row: Request, models: Iterable[str], book: PriceBook) -> Sequence[Counterfactual]:
    """The cost at each of `models` except the model that answered, cheapest first, unpriced models last."""
    usage = usage_of(row)
    if not usage.total_tokens or row.cost_usd is None:
        return []
    others = dict.fromkeys(model for model in models if model and model != row.served_model)
    costs = [_elsewhere(row, model, usage, book) for model in others]
    return sorted(costs, key=lambda other: (other.usd is None, other.usd or 0, other.model))


def _elsewhere(row: Request, model: str, usage: Usage, book: PriceBook) -> Counterfactual:
    is_baseline = model == row.baseline_model
    usd = row.baseline_usd if is_baseline else _at_its_prices(row, model, usage, book)
    if usd is None or row.cost_usd is None:
        return Counterfactual(model, None, None, None, is_baseline)
    times = float(usd / row.cost_usd) if row.cost_usd else None
    return Counterfactual(model, usd, usd - row.cost_usd, times, is_baseline)


def _at_its_prices(row: Request, model: str, usage: Usage, book: PriceBook) -> Decimal | None:
    period = book.at(model, row.created_at)
    return cost(usage, unit_prices(period.tiers, usage.input_tokens)) if period else None


def _line(title: str, tokens: int, price: object, row: Request) -> UsageLine:
    note = ""
    if title == "Output" and row.reasoning_tokens:
        note = f"of which {row.reasoning_tokens:,} reasoning"
    if price is None:
        return UsageLine(title, tokens, None, None, note)
    per_mtok = Decimal(str(price))
    return UsageLine(title, tokens, per_mtok, tokens * per_mtok / _MILLION, note)
