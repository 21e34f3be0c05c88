"""Writes the reviewed data and the configured upstreams into the catalog's tables and the price book.

Models and retired ids are overwritten with the data, except `enabled`; prices are only ever added.
"""

from datetime import date
from typing import Any, NamedTuple

from django.db import transaction

from billing.prices.book import add_prices
from routing.catalog import model_listing as listed
from routing.catalog.models import Model, RetiredModel
from routing.catalog.upstreams import configured_upstreams

_FIELDS = (
    "provider", "name", "status", "tier", "context_window", "max_input_tokens", "max_output_tokens",
    "capabilities", "quirks", "match", "scores", "released", "shutdown", "note",
)  # fmt: skip


class Added(NamedTuple):
    models: int
    prices: int
    retired: int


@transaction.atomic
def seed() -> Added:
    upstreams = configured_upstreams()
    rows = [_row(entry) for entry in listed.listed_models()]
    rows += [
        model.row(upstream.name, pass_unknown=upstream.pass_unknown)
        for upstream in upstreams
        for model in upstream.models
    ]
    known = {row.id for row in rows}
    official = {entry["provider"] for entry in listed.listed_models()}
    Model.objects.exclude(provider__in=official).exclude(id__in=known).delete()  # no longer in the setting
    Model.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=_FIELDS)
    prices = [price for entry in listed.listed_models() for price in listed.listed_prices(entry)]
    prices += listed.tier_prices()
    prices += [price for upstream in upstreams for model in upstream.models for price in model.prices()]
    added = add_prices(prices)
    retired = [
        RetiredModel(
            id=entry["id"],
            provider=entry["provider"],
            retired=entry["retired"],
            successor_id=entry["successor"] if entry["successor"] in known else None,
            source=entry["source"],
        )
        for entry in listed.listed_retirements()
    ]
    RetiredModel.objects.exclude(id__in=[row.id for row in retired]).delete()
    RetiredModel.objects.bulk_create(
        retired,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["provider", "retired", "successor", "source"],
    )
    return Added(len(rows), added, len(retired))


def _row(entry: dict[str, Any]) -> Model:
    prices = listed.listed_prices(entry)
    shutdown = _day(entry.get("shutdown_date")) or listed.retirement_days().get(entry["id"])
    default_effort = listed.default_efforts().get(entry["id"])
    return Model(
        id=entry["id"],
        provider=entry["provider"],
        name=entry["name"] or entry["id"],
        status=entry["status"],
        tier=listed.tier_of(prices, shutdown),
        context_window=entry["context_window"],
        max_input_tokens=entry["max_input_tokens"] or entry["context_window"],
        max_output_tokens=entry["max_output_tokens"],
        capabilities=[name for name, has in entry["capabilities"].items() if has],
        quirks=entry["quirks"] | ({"reasoning_default": default_effort} if default_effort else {}),
        match=entry.get("match", {}),
        scores=listed.published_scores().get(entry["id"], []),
        released=_day(entry["release_date"]),
        shutdown=shutdown,
        note=entry.get("note", ""),
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
