"""Learns how long answers are compared with their forecast, from settled requests of all accounts.

Only numbers of tokens are read. The table holds at most one row for each arm, skill and difficulty band.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction

from billing.models import Attempt, Request
from routing.catalog.length_ratios import Sample, band_of, ratios
from routing.catalog.models import AnswerLength, Model
from routing.language.arms import Arm, Effort
from routing.language.chat import FinishReason

WINDOW = timedelta(days=30)
HALF_LIFE = timedelta(days=7)  # an answer a week ago counts half
MAX_ATTEMPTS = 1_000  # newest attempts read per model
# Whole answers. One that was cut is shorter than the model wanted, and a refusal is no answer.
_WHOLE = (FinishReason.STOP, FinishReason.TOOL_CALLS)


def learn_answer_lengths(now: datetime) -> int:
    """Replace the table of answer lengths; return its number of rows.

    The first attempt of a request counts if it answered with the arm the forecast was for. Requests in test
    mode and those with several choices have no forecast on their row (`steps/opened_request.py`).
    """
    learned = ratios(_samples(now))
    rows = [
        AnswerLength(
            arm=level.arm,
            skill=level.skill,
            band=level.band,
            visible_ratio=ratio.visible,
            reasoning_ratio=ratio.reasoning,
            learned_at=now,
        )
        for level, ratio in learned.items()
    ]
    with transaction.atomic():
        AnswerLength.objects.all().delete()
        AnswerLength.objects.bulk_create(rows, batch_size=500)
    return len(rows)


def _samples(now: datetime) -> Iterator[Sample]:
    for model in Model.objects.values_list("id", flat=True):
        for attempt in _recent(model, now):
            request = attempt.request
            if (
                not _is_whole_answer(attempt, request)
                or request.difficulty is None
                or request.forecast_visible_tokens is None
                or request.forecast_reasoning_tokens is None
            ):
                continue
            arm = Arm(model, Effort(attempt.effort) if attempt.effort else None)
            yield Sample(
                arm=arm.name,
                skill=request.query_type,
                band=band_of(request.difficulty),
                weight=0.5 ** ((now - attempt.started_at) / HALF_LIFE),
                visible_tokens=max(attempt.output_tokens - attempt.reasoning_tokens, 0),
                reasoning_tokens=attempt.reasoning_tokens,
                forecast_visible=request.forecast_visible_tokens,
                forecast_reasoning=request.forecast_reasoning_tokens,
            )


def _recent(model: str, now: datetime) -> Iterator[Attempt]:
    """The model's newest attempts: one index range, however large the ledger is."""
    attempts = Attempt.objects.filter(model=model, started_at__gte=now - WINDOW)
    return (
        attempts.order_by("-started_at")
        .select_related("request")
        .only(
            "number", "model", "effort", "outcome", "started_at", "output_tokens", "reasoning_tokens",
            "request__status", "request__finish_reason", "request__usage_estimated", "request__query_type",
            "request__routed_model", "request__routed_effort", "request__difficulty",
            "request__forecast_visible_tokens", "request__forecast_reasoning_tokens",
        )[:MAX_ATTEMPTS]
        .iterator()
    )  # fmt: skip


def _is_whole_answer(attempt: Attempt, request: Request) -> bool:
    """Return whether the first attempt gave a whole answer, with the arm that the forecast was for."""
    return (
        attempt.number == 1
        and attempt.outcome == Attempt.Outcome.OK
        and (attempt.model, attempt.effort) == (request.routed_model, request.routed_effort)
        and request.status == Request.Status.SUCCEEDED
        and request.finish_reason in _WHOLE
        and not request.usage_estimated
    )
