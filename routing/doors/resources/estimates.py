"""The cost estimate of a chat request: `POST /api/v1/chat/estimate`. Needs no key."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from billing.prices.prices import unit_prices
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import DecisionInput, NoCandidate, decide
from routing.decide.prediction.tokens import count_input
from routing.doors.shared import fields, wire_types
from routing.doors.shared.async_view import PublicAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.native import schema as native_schema
from routing.doors.shared.native.envelope import OBJECT_RESPONSES, enveloped
from routing.doors.shared.wire_types import ModelName, Tokens
from routing.language.arms import ModelFacts
from routing.language.chat import ChatRequest, Mode, Strategy, caller_limit
from routing.language.errors import InvalidModel, NoCapableModel
from routing.state.runtime import Runtime, running
from routing.steps.model_rules import resolve_model


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a native chat request that its price depends on."""

    messages: wire_types.Messages
    model: ModelName | None = None
    strategy: Strategy | None = None
    max_output_tokens: Tokens | None = None


class EstimateView(PublicAPIView):
    @extend_schema(
        operation_id="estimate",
        summary="Estimate what a chat request would cost",
        request=Estimate,
        responses=OBJECT_RESPONSES,
        auth=[],
        examples=[
            OpenApiExample(
                "Of the cheapest model",
                value={"messages": [{"role": "user", "content": "Write a blog post."}]},
                request_only=True,
            )
        ],
    )
    async def post(self, request: Request) -> HttpResponse:
        sent = json_object(request._request)
        fields.convert(sent, Estimate)
        call = native_schema.parse(sent)
        runtime = await running()
        snapshot = runtime.catalog.snapshot
        facts, note, allowance = _estimated_model(call, runtime)
        return enveloped(request._request, _estimate(call.request, facts, allowance, snapshot, note))


def _estimated_model(call: native_schema.NativeCall, runtime: Runtime) -> tuple[ModelFacts, str | None, int]:
    """The model to price, a note about it, and its allowance for reasoning in tokens.

    The model is the one named, the strategy's choice, or the cheapest that can answer.
    """
    snapshot, steering = runtime.catalog.snapshot, call.steering
    decision_input = DecisionInput(
        request=call.request,
        strategy=steering.strategy or Strategy.COST,
        at=datetime.now(UTC),
        stream=False,
    )
    if not steering.model:
        try:
            first = decide(decision_input, snapshot).forecast[0]
        except NoCandidate as refusal:
            raise NoCapableModel(refusal.message) from refusal
        return snapshot.models[first.arm.model], None, first.reasoning_allowance
    resolved = resolve_model(steering.model, runtime.catalog.names, "model")
    facts = snapshot.models.get(resolved.id)
    if facts is None:
        raise InvalidModel(f"{resolved.id} is known, but its provider is not configured here.", param="model")
    pinned = msgspec.structs.replace(decision_input, mode=Mode.MANUAL, pinned=facts.id)
    try:
        first = decide(pinned, msgspec.structs.replace(snapshot, blocked={})).forecast[0]
    except NoCandidate:  # it cannot answer this request; its price is known anyway
        return facts, resolved.note, 0
    return facts, resolved.note, first.reasoning_allowance


def _estimate(
    request: ChatRequest, facts: ModelFacts, allowance: int, snapshot: Snapshot, note: str | None
) -> dict[str, Any]:
    """An upper estimate: it assumes that the answer and the reasoning use all that they are allowed."""
    input_tokens = count_input(request, facts)
    limit = caller_limit(request)
    output_tokens = (
        facts.max_output_tokens if limit is None else min(limit + allowance, facts.max_output_tokens)
    )
    tiers = snapshot.prices.get(facts.id)
    estimate = {
        "model": facts.id,
        "input_tokens": input_tokens,
        "max_output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "estimated_cost_usd": None,
        "confidence": "low",
        "pricing": None,
        "note": note,
    }
    if tiers is not None:
        prices = unit_prices(tiers, input_tokens)
        usd = (input_tokens * prices.uncached_input + output_tokens * prices.output) / 1_000_000
        # The input is exact. The output is not known beforehand, least of all for models that reason.
        estimate["estimated_cost_usd"] = round(float(usd), 9)
        estimate["confidence"] = "medium" if facts.efforts else "high"
        estimate["pricing"] = {
            "input_per_1k": float(prices.uncached_input / 1000),
            "output_per_1k": float(prices.output / 1000),
        }
    return estimate
