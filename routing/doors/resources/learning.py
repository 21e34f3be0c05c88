"""Show and delete what was learnt from an account's outcomes: `/api/v1/insights/learning`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from core.database import from_database
from routing.doors.resources.openapi import (
    FORGOTTEN_RESPONSES,
    LEARNING_RESPONSES,
)
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.native.envelope import enveloped
from routing.learning import account, feedback
from routing.learning.account import explain
from routing.learning.posteriors import BOUND


class LearningView(AsyncAPIView):
    def get_permissions(self) -> Any:
        return [HasScope("read" if self.request.method == "GET" else "chat")()]

    @extend_schema(
        operation_id="learning",
        summary="See what was learnt from this account's outcomes, and what it changes",
        responses=LEARNING_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponse:
        now, account_id = datetime.now(UTC), self.caller.account_id
        opinions = await from_database(feedback.opinions, account_id)
        learnt = await from_database(account.account_posteriors, account_id, now)
        mode = await from_database(account.mode_of, account_id)
        shifts = await from_database(account.active_shifts, account_id, now)
        count = sum(opinion.count for opinion in opinions)
        total = sum(opinion.count * opinion.mean_score for opinion in opinions)
        data = {
            "feedback": {"count": count, "mean_score": total / count if count else None},
            "by_model_and_query_type": [
                {
                    "model": opinion.model or None,
                    "query_type": opinion.query_type or None,
                    "count": opinion.count,
                    "mean_score": opinion.mean_score,
                }
                for opinion in opinions
            ],
            "learnt": [asdict(posterior) for posterior in learnt],
            "influence": {
                "applied": bool(shifts),
                "mode": mode,
                "bound": BOUND,
                "message": explain(mode, learnt),
            },
        }
        return enveloped(request._request, data)

    @extend_schema(
        operation_id="forget_learning",
        summary="Forget all that was learnt from this account, its feedback included",
        request=None,
        responses=FORGOTTEN_RESPONSES,
    )
    async def delete(self, request: Request) -> HttpResponse:
        forgotten = await from_database(account.forget, self.caller.account_id)
        return enveloped(request._request, {"forgotten": forgotten})
