"""Builds the snapshot, the name book and the price book from the tables, in six queries."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from billing.prices.book import load_price_book
from billing.prices.prices import PriceBook
from routing.catalog.facts import facts_of
from routing.catalog.length_ratios import Level
from routing.catalog.models import AnswerLength, Measurement, Model, RetiredModel
from routing.catalog.names import NameBook, Named, Retired
from routing.catalog.priors import ENOUGH_SAMPLES, latency_prior
from routing.catalog.snapshot import Latency, OutputRatio, PublishedScore, Snapshot
from routing.language.arms import Arm, ModelFacts


class Built(NamedTuple):
    snapshot: Snapshot
    names: NameBook
    price_book: PriceBook


def build(now: datetime, providers: Iterable[Mapping[str, str]]) -> Built:
    """Build all three as of `now`. `providers`: entries like settings.PROVIDERS; only their models are in the
    snapshot.

    The name book knows every enabled model, so that a caller who names a model of a provider that is not
    configured gets an error that says so.
    """
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
    measured = {(row.model_id, row.effort): row for row in Measurement.objects.all()}
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
        output_tokens=_output_tokens(),
    )
    version = _version(snapshot)
    retired = [
        Retired(row.id, row.provider, row.retired, row.successor_id)
        for row in RetiredModel.objects.order_by("id")
    ]
    names = NameBook([Named(row.id, row.provider, row.match) for row in rows], retired, now.date())
    return Built(msgspec.structs.replace(snapshot, version=version), names, book)


def arms_of(facts: ModelFacts) -> tuple[Arm, ...]:
    """Return the arms the router may choose: all efforts of a current model, the default effort of others."""
    if not facts.efforts:
        return (Arm(facts.id),)
    if facts.status == "current":
        return tuple(Arm(facts.id, effort) for effort in facts.efforts)
    return (Arm(facts.id, facts.default_effort),)


def _latency(
    arm: Arm, facts: ModelFacts, prices: Mapping[str, Any], measurement: Measurement | None
) -> Latency:
    tiers = prices.get(arm.model)
    prior = latency_prior(
        arm.effort or facts.default_effort, float(tiers[0].prices.output) if tiers else None
    )
    if measurement is None or measurement.samples < ENOUGH_SAMPLES or not measurement.ttft_p50_ms:
        return prior
    return Latency(
        measurement.ttft_p50_ms,
        measurement.ttft_p95_ms or measurement.ttft_p50_ms,
        measurement.tokens_per_second or prior.tokens_per_second,  # answers of a few tokens show no speed
        measurement.samples,
    )


def _p_up(models: Mapping[str, ModelFacts], measured: Iterable[Measurement]) -> dict[str, float]:
    """Health by model, that of its worst effort: all efforts run on the same machines."""
    p_up: dict[str, float] = {}
    for row in measured:
        if row.model_id in models:
            p_up[row.model_id] = min(row.p_up, p_up.get(row.model_id, 1.0))
    return p_up


def _output_tokens() -> dict[str, OutputRatio]:
    rows = AnswerLength.objects.values_list("arm", "skill", "band", "visible_ratio", "reasoning_ratio")
    return {
        Level(arm, skill, band).key: OutputRatio(visible, reasoning)
        for arm, skill, band, visible, reasoning in rows
    }


def _version(snapshot: Snapshot) -> str:
    """A hash of everything a decision reads, so that equal content has the same version in every process."""
    content = [
        [(name, facts) for name, facts in sorted(snapshot.models.items())],
        sorted(snapshot.prices.items()),
        sorted((arm.name, measurement) for arm, measurement in snapshot.latency.items()),
        sorted(snapshot.p_up.items()),
        sorted(snapshot.scores.items()),
        sorted(snapshot.output_tokens.items()),
    ]
    return hashlib.sha256(msgspec.msgpack.encode(content, order="deterministic")).hexdigest()[:12]
