"""Measures arms from the ledger's attempts: time to first token, speed and error rate."""

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from billing.models import Attempt
from routing.catalog.models import Measurement, Model

WINDOW = timedelta(hours=24)
HALF_LIFE_S = 3600.0  # an attempt an hour ago counts half
MAX_ATTEMPTS = 1_000  # newest attempts read per model; more would hardly change a figure
PRIOR_ATTEMPTS = 10.0  # successes assumed in addition, so that a single failure does not count as an outage
# P(up) below which a model is shown as down or degraded.
DOWN_BELOW = 0.5
DEGRADED_BELOW = 0.95
# Kinds of error caused by the request; they say nothing about the arm.
_CALLER_ERRORS = ("bad_request", "refused", "context")


class _Sample(NamedTuple):
    weight: float
    failed: bool
    ttft_ms: int | None
    tokens_per_second: float | None


def measure(now: datetime) -> int:
    """Write a Measurement for every arm with attempts in the window; return their number.

    An arm without recent attempts keeps its last measured speed and counts as up again: with no traffic there
    is no evidence that it is still down.
    """
    by_arm: dict[tuple[str, str], list[_Sample]] = defaultdict(list)
    for model in Model.objects.values_list("id", flat=True):
        for attempt in _recent(model, now):
            by_arm[model, attempt.effort].append(_sample(attempt, now))
    measured = [_measurement(model, effort, attempts, now) for (model, effort), attempts in by_arm.items()]
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


def _recent(model: str, now: datetime) -> Iterable[Attempt]:
    """The model's newest attempts: one index range, however large the ledger is."""
    return (
        Attempt.objects.filter(model=model, started_at__gte=now - WINDOW)
        .exclude(error_kind__in=_CALLER_ERRORS)
        .exclude(outcome=Attempt.Outcome.ABORTED)
        .order_by("-started_at")
        .only("effort", "started_at", "outcome", "ttft_ms", "latency_ms", "output_tokens", "reasoning_tokens")
    )[:MAX_ATTEMPTS]


def _sample(attempt: Attempt, now: datetime) -> _Sample:
    """Speed is measured on the visible answer: reasoning happens before the first token and counts there."""
    weight = 0.5 ** ((now - attempt.started_at).total_seconds() / HALF_LIFE_S)
    if attempt.outcome != Attempt.Outcome.OK:
        return _Sample(weight, failed=True, ttft_ms=None, tokens_per_second=None)
    speed, visible = None, attempt.output_tokens - attempt.reasoning_tokens
    if attempt.ttft_ms is not None and visible > 0 and attempt.latency_ms > attempt.ttft_ms:
        speed = visible / ((attempt.latency_ms - attempt.ttft_ms) / 1000)
    return _Sample(weight, failed=False, ttft_ms=attempt.ttft_ms, tokens_per_second=speed)


def _measurement(model: str, effort: str, attempts: list[_Sample], now: datetime) -> Measurement:
    tried = sum(sample.weight for sample in attempts)
    failed = sum(sample.weight for sample in attempts if sample.failed)
    ttfts = [(sample.ttft_ms, sample.weight) for sample in attempts if sample.ttft_ms is not None]
    speeds = [
        (sample.tokens_per_second, sample.weight)
        for sample in attempts
        if sample.tokens_per_second is not None
    ]
    return Measurement(
        model_id=model,
        effort=effort,
        samples=len(ttfts),
        ttft_p50_ms=_quantile(ttfts, 0.5),
        ttft_p95_ms=_quantile(ttfts, 0.95),
        tokens_per_second=_quantile(speeds, 0.5),
        p_up=1 - failed / (tried + PRIOR_ATTEMPTS),
        measured_at=now,
    )


def _quantile(weighted: Iterable[tuple[float, float]], share: float) -> float | None:
    """The weighted quantile: the smallest value that at least `share` of the weight does not exceed."""
    ordered = sorted(weighted)
    if not ordered:
        return None
    target = share * math.fsum(weight for _, weight in ordered)
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= target:
            return float(value)
    return float(ordered[-1][0])
