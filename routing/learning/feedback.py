"""Feedback: given and added up. What it teaches is kept as an outcome (outcomes.py)."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Avg, Count

from billing.models import Request
from routing.learning.models import Feedback, Outcome
from routing.learning.outcomes import keep


@dataclass(frozen=True)
class Opinion:
    """What an account said of one model at one type of question; `mean_score` is 0 to 1."""

    model: str
    query_type: str
    count: int
    mean_score: float


@transaction.atomic
def give_feedback(
    request_row: Request, score: float, comment: str = "", key_id: int | None = None
) -> Feedback:
    """Store what is said about a request, over what the same key said before. `score` is 0 to 1.

    `key_id` None: said on the dashboard. The caller has checked that the request is the account's own.
    """
    given, _ = Feedback.objects.update_or_create(
        request=request_row,
        key_id=key_id,
        defaults={"account_id": request_row.account_id, "score": score, "comment": comment},
    )
    keep(request_row, Outcome.Source.FEEDBACK, score, key_id, given.updated_at)
    return given


def opinions(account_id: int) -> list[Opinion]:
    """The account's feedback by the model that answered and the type of question, most said first."""
    rows = (
        Feedback.objects.filter(account_id=account_id)
        .values_list("request__served_model", "request__query_type")
        .annotate(count=Count("id"), mean=Avg("score"))
        .order_by("-count", "request__served_model", "request__query_type")
    )
    return [Opinion(*row) for row in rows]
