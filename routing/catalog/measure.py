"""Measures arms from the ledger's attempts: time to first token, speed and error rate."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from django.db.models import QuerySet

from billing.models import Attempt
from billing.prices.book import load_price_book
from billing.prices.prices import PriceBook
from routing.catalog.facts import default_effort_of
from routing.catalog.latency_fit import Call, fit
from routing.catalog.models import Measurement, Model
from routing.catalog.priors import latency_prior
from routing.catalog.snapshot import Latency
from routing.language.arms import Effort

WINDOW = timedelta(hours=24)
HALF_LIFE_S = 600.0  # for the error rate, an attempt ten minutes ago counts half
# For latency: with one hour, an arm with 100 calls a day would show the median of about six of them.
LATENCY_HALF_LIFE_S = 6 * 3600.0
MAX_ATTEMPTS = 1_000  # newest attempts read per model; more would hardly change a figure
# Successes assumed in addition: providers answer about 99 of 100 calls, so that a single failure without any
# other evidence means 99 %. That moves no choice of `auto` among the prompts of tests/decide; 98 % would move
# six of forty.
PRIOR_ATTEMPTS = 100.0
# So many failures in a row are one outage, and count as one failure. Circuit breakers keep calls away from it
# and notice its end; P(up) is about the calls that they let through.
OUTAGE_FAILURES = 5
# P(up) below which a model is shown as down or degraded.
DOWN_BELOW = 0.5
DEGRADED_BELOW = 0.95
# Kinds of error caused by the request; they say nothing about the arm.
_CALLER_ERRORS = ("bad_request", "refused", "context")


class _Sample(NamedTuple):
    started_at: datetime
    weight: float
    call: Call | None  # None: it failed


def measure(now: datetime) -> int:
    """Write a Measurement for every arm with attempts in the window; return their number.

    An arm without recent attempts keeps its last measured speed and counts as up again: with no traffic there
    is no evidence that it is still down.
    """
    book, measured = load_price_book(), []
    for model in Model.objects.all():
        by_effort: dict[str, list[_Sample]] = defaultdict(list)
        for attempt in _recent(model.id, now):
            by_effort[attempt.effort].append(_sample(attempt, now))
        p_up = _p_up([sample for samples in by_effort.values() for sample in samples])
        for effort, samples in by_effort.items():
            prior = _prior(model, effort, book, now)
            measured.append(_measurement(model, effort, samples, prior, p_up, now))
    Measurement.objects.bulk_create(
        measured,
        update_conflicts=True,
        unique_fields=["model", "effort"],
        update_fields=["samples", "ttft_p50_ms", "ttft_p95_ms", "tokens_per_second", "p_up", "measured_at"],
    )
    Measurement.objects.filter(measured_at__lt=now).exclude(p_up=1.0).update(p_up=1.0)
    return len(measured)


def health_word(p_up: float, blocked: bool) -> str:
    """Return a model's health as GET /api/v1/models shows it: healthy, degraded or down."""
    if blocked or p_up < DOWN_BELOW:
        return "down"
    return "healthy" if p_up >= DEGRADED_BELOW else "degraded"


def counted(attempts: QuerySet[Attempt]) -> QuerySet[Attempt]:
    """The attempts that say something about the model: not those that the caller ended or got wrong."""
    return attempts.exclude(error_kind__in=_CALLER_ERRORS).exclude(outcome=Attempt.Outcome.ABORTED)


def _recent(model: str, now: datetime) -> Iterable[Attempt]:
    """The model's newest attempts: one index range, however large the ledger is."""
    return (
        counted(Attempt.objects.filter(model=model, started_at__gte=now - WINDOW))
        .order_by("-started_at")
        .select_related("request")
        .only(
            "effort", "started_at", "outcome", "ttft_ms", "latency_ms", "output_tokens", "reasoning_tokens",
            "request__streamed",
        )
    )[:MAX_ATTEMPTS]  # fmt: skip


def _sample(attempt: Attempt, now: datetime) -> _Sample:
    """A request that streams is streamed from the provider too, and only such a request is."""
    age_s = (now - attempt.started_at).total_seconds()
    weight = 0.5 ** (age_s / HALF_LIFE_S)
    if attempt.outcome != Attempt.Outcome.OK:
        return _Sample(attempt.started_at, weight, None)
    call = Call(
        weight=0.5 ** (age_s / LATENCY_HALF_LIFE_S),
        streamed=attempt.request.streamed,
        ttft_ms=attempt.ttft_ms,
        latency_ms=attempt.latency_ms,
        visible_tokens=max(attempt.output_tokens - attempt.reasoning_tokens, 0),
        reasoning_tokens=attempt.reasoning_tokens,
    )
    return _Sample(attempt.started_at, weight, call)


def _p_up(samples: list[_Sample]) -> float:
    """The chance that a call is answered, over all efforts of a model: they run on the same machines."""
    succeeded = failed = 0.0
    in_order = sorted(samples, key=lambda sample: sample.started_at)
    for is_answered, run in groupby(in_order, key=lambda sample: sample.call is not None):
        weights = [sample.weight for sample in run]
        if is_answered:
            succeeded += sum(weights)
        else:
            failed += max(weights) if len(weights) >= OUTAGE_FAILURES else sum(weights)
    return 1 - failed / (succeeded + failed + PRIOR_ATTEMPTS)


def _prior(model: Model, effort: str, book: PriceBook, now: datetime) -> Latency:
    period = book.at(model.id, now)
    usd = float(period.tiers[0].prices.output) if period else None
    return latency_prior(Effort(effort) if effort else default_effort_of(model), usd)


def _measurement(
    model: Model, effort: str, samples: list[_Sample], prior: Latency, p_up: float, now: datetime
) -> Measurement:
    figures = fit([sample.call for sample in samples if sample.call is not None], prior)
    return Measurement(
        model_id=model.id,
        effort=effort,
        samples=figures.samples,
        ttft_p50_ms=figures.ttft_p50_ms,
        ttft_p95_ms=figures.ttft_p95_ms,
        tokens_per_second=figures.tokens_per_second,
        p_up=p_up,
        measured_at=now,
    )
