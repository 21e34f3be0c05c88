"""Keeps the signs of how answers did: feedback at once, the rest by a job from settled requests."""

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
_LOOK_BACK = timedelta(minutes=30)  # the job runs far more often; what it saw already is left as it is
_COUNTED = 180  # days; six half-lives leave a sixtieth
MOST = 20_000  # outcomes of one account that are looked at, latest first


def keep(
    row: Request, source: Outcome.Source, score: float, key_id: int | None, at: datetime
) -> Outcome | None:
    """Store one sign over the same source's earlier one; None when the request's arm was never predicted."""
    known = _facts(row)
    if known is None:
        return None
    kept, _ = Outcome.objects.update_or_create(
        request=row, source=source, key_id=key_id, defaults={**known, "score": score, "at": at}
    )
    return kept


def gather(now: datetime) -> int:
    """Outcomes that settled requests show by themselves; says how many were new."""
    lately = Request.objects.filter(
        settled_at__gte=now - _LOOK_BACK,
        created_at__gte=now - 2 * _LOOK_BACK,
        status=Request.Status.SUCCEEDED,
    )
    new = [
        *_signs(lately.filter(output_valid__isnull=False), _Source.FORM, now),
        *_signs(_repeated(lately), _Source.REPEAT, now),
    ]
    before = Outcome.objects.filter(request__in=[one.request_id for one in new]).count()
    Outcome.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return Outcome.objects.filter(request__in=[one.request_id for one in new]).count() - before


def forget_old(now: datetime) -> int:
    """Delete outcomes that have long counted no more; returns how many."""
    days = max(settings.KEEP_OUTCOMES_DAYS, _COUNTED)
    return delete_in_batches(Outcome.objects.filter(at__lt=now - timedelta(days=days)))


def signs(account_id: int, now: datetime) -> list[Sign]:
    """The account's outcomes that still count."""
    rows = Outcome.objects.filter(account_id=account_id, at__gte=now - timedelta(days=_COUNTED))
    names = ("arm", "model", "skill", "source", "expected", "score", "at")
    return [Sign(*row) for row in rows.order_by("-at", "-pk").values_list(*names)[:MOST]]


def _signs(rows: Iterable[Request], source: Outcome.Source, now: datetime) -> Iterator[Outcome]:
    for row in rows:
        if (known := _facts(row)) is not None:
            score = float(bool(row.output_valid)) if source is _Source.FORM else 0.0
            # Said by no key: the sign is the request's own.
            yield Outcome(
                request=row, source=source, key=None, **known, score=score, at=row.settled_at or now
            )


def _repeated(lately: Any) -> list[Request]:
    """The first of two requests with the same prompt in a row; three or more are a loop, not a complaint."""
    twins = (
        lately.exclude(prompt_hash="")
        .values("account_id", "prompt_hash")
        .annotate(n=Count("pk"), first=Min("created_at"), last=Max("created_at"))
        .filter(n=2)
    )
    wanted = [
        Q(account_id=twin["account_id"], prompt_hash=twin["prompt_hash"], created_at=twin["first"])
        for twin in twins
        if twin["last"] - twin["first"] <= REPEATED_WITHIN
    ]
    found: list[Request] = []
    for begin in range(0, len(wanted), 100):
        either = wanted[begin]
        for one in wanted[begin + 1 : begin + 100]:
            either |= one
        found += lately.filter(either)
    return found


def _facts(row: Request) -> dict[str, Any] | None:
    """What the row's trace predicted of the arm that answered."""
    arm = f"{row.served_model}@{row.served_effort}" if row.served_effort else row.served_model
    trace: dict[str, Any] = row.trace or {}
    entry = next((one for one in trace.get("candidates", ()) if one["arm"] == arm), None)
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
