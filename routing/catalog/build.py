"""Builds the snapshot and the name book from the tables; five queries."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from billing.prices.book import load_price_book
from billing.prices.prices import PriceBook
from routing.catalog.facts import facts_of
from routing.catalog.models import Measurement, Model, RetiredModel
from routing.catalog.names import NameBook, Named, Retired
from routing.catalog.priors import ENOUGH_SAMPLES, latency_prior
from routing.catalog.snapshot import Latency, PublishedScore, Snapshot
from routing.language.arms import Arm, ModelFacts


class Built(NamedTuple):
    snapshot: Snapshot
    names: NameBook
    price_book: PriceBook


def build(now: datetime, providers: Iterable[Mapping[str, str]]) -> Built:
    """`providers`: entries like settings.PROVIDERS; only their models are in the snapshot."""
    dialects = {provider["name"]: provider["dialect"] for provider in providers}
    rows = list(Model.objects.filter(enabled=True).order_by("id"))
    models = {
        row.id: facts_of(row, dialects[row.provider])
        for row in rows
        if row.provider in dialects and (row.shutdown is None or row.shutdown > now.date())
    }
    book = load_price_book()
    prices = {name: period.tiers for name in models if (period := book.at(name, now)) is not None}
    arms = tuple(arm for facts in models.values() for arm in arms_of(facts))
    measured = {(one.model_id, one.effort): one for one in Measurement.objects.all()}
    latency = {
        arm: _latency(arm, models[arm.model], prices, measured.get((arm.model, arm.effort or "")))
        for arm in arms
    }
    snapshot = Snapshot(
        version="",
        built_at=now,
        models=models,
        arms=arms,
        prices=prices,
        latency=latency,
        p_up=_p_up(models, measured.values()),
        blocked={},
        scores={
            row.id: tuple(msgspec.convert(row.scores, list[PublishedScore], strict=False))
            for row in rows
            if row.id in models and row.scores
        },
    )
    version = _version(snapshot)
    retired = [
        Retired(one.id, one.provider, one.retired, one.successor_id)
        for one in RetiredModel.objects.order_by("id")
    ]
    names = NameBook([Named(row.id, row.provider, row.match) for row in rows], retired, now.date())
    return Built(msgspec.structs.replace(snapshot, version=version), names, book)


def arms_of(facts: ModelFacts) -> tuple[Arm, ...]:
    """Every effort of a current model; of others only what their provider does by itself."""
    if not facts.efforts:
        return (Arm(facts.id),)
    if facts.status == "current":
        return tuple(Arm(facts.id, effort) for effort in facts.efforts)
    return (Arm(facts.id, facts.default_effort),)


def _latency(arm: Arm, facts: ModelFacts, prices: Mapping[str, Any], seen: Measurement | None) -> Latency:
    if seen is not None and seen.samples >= ENOUGH_SAMPLES and seen.ttft_p50_ms and seen.tokens_per_second:
        return Latency(
            seen.ttft_p50_ms, seen.ttft_p95_ms or seen.ttft_p50_ms, seen.tokens_per_second, seen.samples
        )
    tiers = prices.get(arm.model)
    return latency_prior(arm, facts, float(tiers[0].prices.output) if tiers else None)


def _p_up(models: Mapping[str, ModelFacts], measured: Iterable[Measurement]) -> dict[str, float]:
    """A model's worst effort counts: they are served by the same machines."""
    p_up: dict[str, float] = {}
    for one in measured:
        if one.model_id in models:
            p_up[one.model_id] = min(one.p_up, p_up.get(one.model_id, 1.0))
    return p_up


def _version(snapshot: Snapshot) -> str:
    """The same content has the same version, whenever it was built."""
    content = [
        [(name, facts) for name, facts in sorted(snapshot.models.items())],
        sorted(snapshot.prices.items()),
        sorted((arm.name, seen) for arm, seen in snapshot.latency.items()),
        sorted(snapshot.p_up.items()),
        sorted(snapshot.scores.items()),
    ]
    return hashlib.sha256(msgspec.msgpack.encode(content, order="deterministic")).hexdigest()[:12]
