"""Measures arms on the ledger's attempts: time to first token, speed, error rate; recent ones count more."""

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from billing.models import Attempt
from routing.catalog.models import Measurement, Model

LOOK_BACK = timedelta(hours=24)
HALF_LIFE_S = 3600.0  # an attempt an hour ago counts half
MOST_ATTEMPTS = 1_000  # of each model, the newest: by then a further one changes nothing
PRIOR_ATTEMPTS = 10.0  # that many successes are assumed, so that one failure is not an outage
# Of the attempts that count: half failing is an outage to whoever meets it, one in twenty a bad day.
DOWN_BELOW = 0.5
DEGRADED_BELOW = 0.95
# Attempts that failed for the caller's own reasons say nothing of the arm.
_CALLERS_OWN = ("bad_request", "refused", "context")


class _Seen(NamedTuple):
    weight: float
    failed: bool
    ttft_ms: int | None
    tokens_per_second: float | None


def measure(now: datetime) -> int:
    """Write a Measurement for every arm that was tried lately; returns how many.

    An arm nobody tried any more keeps what was last seen of its speed, which by then counts as up again:
    failures fade with their half-life.
    """
    by_arm: dict[tuple[str, str], list[_Seen]] = defaultdict(list)
    for model in Model.objects.values_list("id", flat=True):
        for attempt in _lately(model, now):
            by_arm[model, attempt.effort].append(_seen(attempt, now))
    measured = [_measurement(model, effort, seen, now) for (model, effort), seen in by_arm.items()]
    Measurement.objects.bulk_create(
        measured,
        update_conflicts=True,
        unique_fields=["model", "effort"],
        update_fields=["samples", "ttft_p50_ms", "ttft_p95_ms", "tokens_per_second", "p_up", "measured_at"],
    )
    Measurement.objects.filter(measured_at__lt=now).exclude(p_up=1.0).update(p_up=1.0)
    return len(measured)


def health_word(p_up: float, blocked: bool) -> str:
    """What GET /api/v1/models says of a model: healthy, degraded or down."""
    if blocked or p_up < DOWN_BELOW:
        return "down"
    return "healthy" if p_up >= DEGRADED_BELOW else "degraded"


def _lately(model: str, now: datetime) -> Iterable[Attempt]:
    """One look into the index by model and time, whatever the size of the ledger."""
    return (
        Attempt.objects.filter(model=model, started_at__gte=now - LOOK_BACK)
        .exclude(error_kind__in=_CALLERS_OWN)
        .exclude(outcome=Attempt.Outcome.ABORTED)
        .order_by("-started_at")
        .only("effort", "started_at", "outcome", "ttft_ms", "latency_ms", "output_tokens", "reasoning_tokens")
    )[:MOST_ATTEMPTS]


def _seen(attempt: Attempt, now: datetime) -> _Seen:
    """Speed is that of the visible answer: reasoning comes before the first token and is in its time."""
    weight = 0.5 ** ((now - attempt.started_at).total_seconds() / HALF_LIFE_S)
    if attempt.outcome != Attempt.Outcome.OK:
        return _Seen(weight, failed=True, ttft_ms=None, tokens_per_second=None)
    speed, visible = None, attempt.output_tokens - attempt.reasoning_tokens
    if attempt.ttft_ms is not None and visible > 0 and attempt.latency_ms > attempt.ttft_ms:
        speed = visible / ((attempt.latency_ms - attempt.ttft_ms) / 1000)
    return _Seen(weight, failed=False, ttft_ms=attempt.ttft_ms, tokens_per_second=speed)


def _measurement(model: str, effort: str, seen: list[_Seen], now: datetime) -> Measurement:
    tried = sum(one.weight for one in seen)
    failed = sum(one.weight for one in seen if one.failed)
    ttfts = [(one.ttft_ms, one.weight) for one in seen if one.ttft_ms is not None]
    speeds = [(one.tokens_per_second, one.weight) for one in seen if one.tokens_per_second is not None]
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
    """The smallest value that at least `share` of the weight does not exceed."""
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
