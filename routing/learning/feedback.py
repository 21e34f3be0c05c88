"""Stores and summarises feedback. Each feedback is also stored as an outcome (outcomes.py)."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Avg, Count

from billing.models import Request
from routing.learning.models import Feedback, Outcome
from routing.learning.outcomes import store_outcome


@dataclass(frozen=True)
class Opinion:
    """An account's feedback on one model for one type of question; `mean_score` is 0 to 1."""

    model: str
    query_type: str
    count: int
    mean_score: float


@transaction.atomic
def give_feedback(
    request_row: Request, score: float, comment: str = "", key_id: int | None = None
) -> Feedback:
    """Store feedback on a request; it replaces earlier feedback by the same key. `score` is 0 to 1.

    `key_id` None: from the dashboard. The caller must have checked that the request is the account's own.
    """
    row, _ = Feedback.objects.update_or_create(
        request=request_row,
        key_id=key_id,
        defaults={"account_id": request_row.account_id, "score": score, "comment": comment},
    )
    store_outcome(request_row, Outcome.Source.FEEDBACK, score, key_id, row.updated_at)
    return row


def opinions(account_id: int) -> list[Opinion]:
    """Return the account's feedback by answering model and type of question, most feedback first."""
    rows = (
        Feedback.objects.filter(account_id=account_id)
        .values_list("request__served_model", "request__query_type")
        .annotate(count=Count("id"), mean=Avg("score"))
        .order_by("-count", "request__served_model", "request__query_type")
    )
    return [Opinion(*row) for row in rows]
