"""The decision alone: `POST /api/v1/route` says which model would answer a chat request."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from routing.decide.decision import Decision
from routing.decide.trace import Candidate
from routing.doors.resources.openapi import (
    ROUTE_RESPONSES,
)
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.native import schema as native_schema
from routing.doors.shared.native.envelope import enveloped
from routing.doors.shared.prompt_enhancement import enhance_request
from routing.pipeline import preview
from routing.replay.alternatives import alternatives


class RouteView(AsyncAPIView):
    """Takes the body of a chat request and returns the decision, without calling a provider."""

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
        return enveloped(request._request, _decision(decision))


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
        "alternatives": alternatives(trace),
        "query_type": trace.query_type,
        "complexity": trace.complexity,
        "level": trace.level,
        "refined": trace.refined,
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
        "retires": entry.retires,
    }


def _removed(entry: Candidate) -> dict[str, Any]:
    assert entry.removed is not None
    named = {"arm": entry.arm, "model": entry.model, "effort": entry.effort, "provider": entry.provider}
    return named | {"code": entry.removed.code, "reason": f"{entry.name} {entry.removed.words}."}
