"""Endpoints for whoever holds a key: the decision alone, feedback, and what was learnt from it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.caller import Caller
from accounts.permissions import HasScope
from billing.models import Request as LedgerRow
from core.database import from_database
from routing.decide.decision import Decision
from routing.decide.trace import Candidate
from routing.doors.native import schema as native_schema
from routing.doors.resources import schema
from routing.doors.resources.envelope import told
from routing.doors.resources.openapi import (
    FEEDBACK_RESPONSES,
    FORGOTTEN_RESPONSES,
    LEARNING_RESPONSES,
    RATING_RESPONSES,
    ROUTE_RESPONSES,
)
from routing.doors.shared import fields
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.prompt_enhancement import enhance_request
from routing.language.errors import NotFound
from routing.learning import account, feedback
from routing.learning.account import explain
from routing.learning.models import Feedback
from routing.learning.posteriors import BOUND
from routing.pipeline import preview


class RouteView(AsyncAPIView):
    """`POST /api/v1/route`: what a chat request of the same body would be given to, now."""

    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="route",
        summary="See which model would answer, without asking it",
        request=native_schema.NativeChat,
        responses=ROUTE_RESPONSES,
    )
    async def post(self, request: Request) -> HttpResponse:
        call = native_schema.parse(json_object(request._request))
        request_id = request._request.request_id  # type: ignore[attr-defined]
        chat = enhance_request(call.request)[0] if call.steering.enhance_prompt else call.request
        decision = await preview(chat, call.steering, self.caller, request_id)
        return told(request._request, _decision(decision))


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
        given = await from_database(_give, self.caller, sent, score)
        return told(request._request, given)


class RatingView(AsyncAPIView):
    """`POST /api/v1/insights/feedback`: the older form of the same."""

    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="rate",
        summary="Rate an answer from 1 to 5 (older form of feedback)",
        request=schema.Rating,
        responses=RATING_RESPONSES,
    )
    async def post(self, request: Request) -> HttpResponse:
        sent = fields.convert(json_object(request._request), schema.Rating)
        given = await from_database(_give, self.caller, sent, (sent.rating - 1) / 4)
        return told(request._request, given | {"rating": sent.rating})


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
        given = await from_database(feedback.opinions, account_id)
        learnt = await from_database(account.account_posteriors, account_id, now)
        mode = await from_database(account.mode_of, account_id)
        shifts = await from_database(account.active_shifts, account_id, now)
        count = sum(one.count for one in given)
        total = sum(one.count * one.mean_score for one in given)
        data = {
            "feedback": {"count": count, "mean_score": total / count if count else None},
            "by_model_and_query_type": [
                {
                    "model": one.model or None,
                    "query_type": one.query_type or None,
                    "count": one.count,
                    "mean_score": one.mean_score,
                }
                for one in given
            ],
            "learnt": [asdict(one) for one in learnt],
            "influence": {
                "applied": bool(shifts),
                "mode": mode,
                "bound": BOUND,
                "message": explain(mode, learnt),
            },
        }
        return told(request._request, data)

    @extend_schema(
        operation_id="forget_learning",
        summary="Forget all that was learnt from this account, its feedback included",
        request=None,
        responses=FORGOTTEN_RESPONSES,
    )
    async def delete(self, request: Request) -> HttpResponse:
        forgotten = await from_database(account.forget, self.caller.account_id)
        return told(request._request, {"forgotten": forgotten})


def _give(caller: Caller, sent: schema.Feedback | schema.Rating, score: float) -> dict[str, Any]:
    row = LedgerRow.objects.filter(pk=sent.request_id, account_id=caller.account_id).defer("trace").first()
    if row is None:
        raise NotFound("This account has no request of that id.", param="request_id")
    return _feedback(feedback.give_feedback(row, score, sent.comment or "", caller.key_id))


def _feedback(given: Feedback) -> dict[str, Any]:
    return {
        "request_id": given.request_id,
        "score": given.score,
        "comment": given.comment or None,
        "created_at": given.created_at,
        "updated_at": given.updated_at,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    trace, first, expected = decision.trace, decision.chain[0], decision.forecast[0]
    ranked = [entry for entry in trace.candidates if entry.removed is None]
    return {
        "model": first.model,
        "effort": first.effort,
        "chain": list(trace.chain),
        "routing_mode": trace.mode,
        "strategy": trace.strategy,
        "reason": trace.reason,
        "flip": trace.flip,
        "query_type": trace.query_type,
        "complexity": trace.complexity,
        "estimated": {
            "cost_usd": expected.cost_usd,
            "input_tokens": expected.input_tokens,
            "output_tokens": expected.output_tokens,
            "latency_ms": round(expected.latency_ms),
        },
        "baseline": trace.baseline,
        "saved_usd": trace.saved_usd,
        "candidates": [_candidate(entry) for entry in ranked],
        "removed": [_removed(entry) for entry in trace.candidates if entry.removed is not None],
        "notes": list(trace.notes),
    }


def _candidate(entry: Candidate) -> dict[str, Any]:
    return {
        "arm": entry.arm,
        "model": entry.model,
        "effort": entry.effort,
        "provider": entry.provider,
        "p_success": entry.p_success,
        "cost_usd": entry.cost_usd,
        "latency_ms": entry.latency_ms,
        "utility": entry.utility,
    }


def _removed(entry: Candidate) -> dict[str, Any]:
    assert entry.removed is not None
    named = {"arm": entry.arm, "model": entry.model, "effort": entry.effort, "provider": entry.provider}
    return named | {"code": entry.removed.code, "reason": f"{entry.name} {entry.removed.words}."}
