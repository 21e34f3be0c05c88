"""Scores for answers: `POST /api/v1/feedback`, and its older form."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.caller import Caller
from accounts.permissions import HasScope
from billing.models import Request as LedgerRow
from core.database import from_database
from routing.doors.resources import schema
from routing.doors.resources.openapi import (
    FEEDBACK_RESPONSES,
    RATING_RESPONSES,
)
from routing.doors.shared import fields
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.native.envelope import enveloped
from routing.language.errors import NotFound
from routing.learning import feedback
from routing.learning.models import Feedback


class FeedbackView(AsyncAPIView):
    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="feedback",
        summary="Say how good an answer was",
        request=schema.Feedback,
        responses=FEEDBACK_RESPONSES,
    )
    async def post(self, request: Request) -> HttpResponse:
        sent, score = schema.parse_feedback(json_object(request._request))
        stored = await from_database(_store, self.caller, sent, score)
        return enveloped(request._request, stored)


class RatingView(AsyncAPIView):
    """`POST /api/v1/insights/feedback`: the older form of feedback."""

    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="rate",
        summary="Rate an answer from 1 to 5 (older form of feedback)",
        request=schema.Rating,
        responses=RATING_RESPONSES,
    )
    async def post(self, request: Request) -> HttpResponse:
        sent = fields.convert(json_object(request._request), schema.Rating)
        stored = await from_database(_store, self.caller, sent, (sent.rating - 1) / 4)
        return enveloped(request._request, stored | {"rating": sent.rating})


def _store(caller: Caller, sent: schema.Feedback | schema.Rating, score: float) -> dict[str, Any]:
    row = LedgerRow.objects.filter(pk=sent.request_id, account_id=caller.account_id).defer("trace").first()
    if row is None:
        raise NotFound("This account has no request of that id.", param="request_id")
    return _feedback(feedback.give_feedback(row, score, sent.comment or "", caller.key_id))


def _feedback(row: Feedback) -> dict[str, Any]:
    return {
        "request_id": row.request_id,
        "score": row.score,
        "comment": row.comment or None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
