"""Stores outcomes: feedback at once, other signs by a Celery task that reads settled requests."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, Q

from billing.models import Request
from core.database import delete_in_batches
from routing.learning.models import Outcome
from routing.learning.posteriors import Sign

_Source = Outcome.Source
REPEATED_WITHIN = timedelta(minutes=2)
_WINDOW = timedelta(minutes=30)  # the task runs far more often; outcomes already stored stay as they are
_COUNTED_DAYS = 180  # after six half-lives an outcome counts one sixtieth
MAX_OUTCOMES = 20_000  # outcomes read per account, latest first


def store_outcome(
    row: Request, source: Outcome.Source, score: float, key_id: int | None, at: datetime
) -> Outcome | None:
    """Store an outcome; it replaces the earlier one of the same source and key.

    None: the request's trace has no prediction for the arm that answered.
    """
    known = _facts(row)
    if known is None:
        return None
    outcome, _ = Outcome.objects.update_or_create(
        request=row, source=source, key_id=key_id, defaults={**known, "score": score, "at": at}
    )
    return outcome


def gather(now: datetime) -> int:
    """Store the outcomes visible in recently settled requests; return how many were new."""
    recent = Request.objects.filter(
        settled_at__gte=now - _WINDOW,
        created_at__gte=now - 2 * _WINDOW,
        status=Request.Status.SUCCEEDED,
    )
    new = [
        *_signs(recent.filter(output_valid__isnull=False), _Source.FORM, now),
        *_signs(_repeated(recent), _Source.REPEAT, now),
    ]
    before = Outcome.objects.filter(request__in=[outcome.request_id for outcome in new]).count()
    Outcome.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return Outcome.objects.filter(request__in=[outcome.request_id for outcome in new]).count() - before


def forget_old(now: datetime) -> int:
    """Delete outcomes too old to count; return how many."""
    days = max(settings.KEEP_OUTCOMES_DAYS, _COUNTED_DAYS)
    return delete_in_batches(Outcome.objects.filter(at__lt=now - timedelta(days=days)))


def signs(account_id: int, now: datetime) -> list[Sign]:
    """Return the account's outcomes that still count, latest first."""
    rows = Outcome.objects.filter(account_id=account_id, at__gte=now - timedelta(days=_COUNTED_DAYS))
    names = ("arm", "model", "skill", "source", "expected", "score", "at")
    return [Sign(*row) for row in rows.order_by("-at", "-pk").values_list(*names)[:MAX_OUTCOMES]]


def _signs(rows: Iterable[Request], source: Outcome.Source, now: datetime) -> Iterator[Outcome]:
    for row in rows:
        if (known := _facts(row)) is not None:
            score = float(bool(row.output_valid)) if source is _Source.FORM else 0.0
            # No key: the sign comes from the request itself.
            yield Outcome(
                request=row, source=source, key=None, **known, score=score, at=row.settled_at or now
            )


def _repeated(recent: Any) -> list[Request]:
    """The first of two equal prompts in a row: its answer was probably not good enough. Three or more are
    a loop in the caller's program."""
    twins = (
        recent.exclude(prompt_hash="")
        .values("account_id", "prompt_hash")
        .annotate(n=Count("pk"), first=Min("created_at"), last=Max("created_at"))
        .filter(n=2)
    )
    wanted = [
        Q(account_id=twin["account_id"], prompt_hash=twin["prompt_hash"], created_at=twin["first"])
        for twin in twins
        if twin["last"] - twin["first"] <= REPEATED_WITHIN
    ]
    repeated: list[Request] = []
    for begin in range(0, len(wanted), 100):
        either = wanted[begin]
        for condition in wanted[begin + 1 : begin + 100]:
            either |= condition
        repeated += recent.filter(either)
    return repeated


def _facts(row: Request) -> dict[str, Any] | None:
    """The fields of an outcome that come from the trace's prediction for the arm that answered."""
    arm = f"{row.served_model}@{row.served_effort}" if row.served_effort else row.served_model
    trace: dict[str, Any] = row.trace or {}
    entry = next((c for c in trace.get("candidates", ()) if c["arm"] == arm), None)
    if entry is None:
        return None
    expected = min(1.0, max(0.0, entry["p_success"] - entry.get("learned", 0.0)))
    return {
        "account_id": row.account_id,
        "arm": arm,
        "model": row.served_model,
        "skill": row.query_type,
        "expected": expected,
    }
