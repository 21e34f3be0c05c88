"""Endpoints that need no key: estimate a cost, enhance a prompt, list models."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from accounts.authentication import OptionalKeyAuthentication
from billing.prices.prices import unit_prices
from routing.catalog.measure import health_word
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import DecisionInput, NoCandidate, decide
from routing.decide.prediction.tokens import count_input
from routing.doors.native import schema as native_schema
from routing.doors.native.openapi import ERROR_RESPONSES
from routing.doors.resources.envelope import told
from routing.doors.shared import fields, wire_types
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.prompt_enhancement import enhance
from routing.doors.shared.wire_types import ModelName, Tokens
from routing.language.arms import Capability, ModelFacts
from routing.language.chat import ChatRequest, Mode, Strategy
from routing.language.errors import InvalidModel, NoCapableModel, NotFound
from routing.state.runtime import Runtime, running
from routing.steps.resolve import resolve_model

MAX_PROMPT = 200_000  # characters
SMART_MODEL = "routeplex-ai"
OBJECT_RESPONSES = {(200, "application/json"): OpenApiTypes.OBJECT} | ERROR_RESPONSES


class FreeView(AsyncAPIView):
    """A bad key is ignored, none is needed."""

    authentication_classes = [OptionalKeyAuthentication]
    permission_classes = []


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a native chat request that its price depends on."""

    messages: wire_types.Messages
    model: ModelName | None = None
    strategy: Strategy | None = None
    max_output_tokens: Tokens | None = None


class Enhance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt to rewrite by rules."""

    prompt: Annotated[str, msgspec.Meta(max_length=MAX_PROMPT)]


class EstimateView(FreeView):
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
        asked = native_schema.parse(sent)
        runtime = await running()
        facts, note = _estimated_model(asked, runtime)
        return told(request._request, _estimate(asked.request, facts, runtime.catalog.snapshot, note))


class EnhanceView(FreeView):
    @extend_schema(
        operation_id="enhance",
        summary="Improve a prompt by rules",
        request=Enhance,
        responses=OBJECT_RESPONSES,
        auth=[],
        examples=[OpenApiExample("A vague prompt", value={"prompt": "fix my code"}, request_only=True)],
    )
    async def post(self, request: Request) -> HttpResponse:
        sent = fields.convert(json_object(request._request), Enhance)
        return told(request._request, enhance(sent.prompt))


class ModelsView(FreeView):
    @extend_schema(operation_id="models", summary="List the models", responses=OBJECT_RESPONSES, auth=[])
    async def get(self, request: Request) -> HttpResponse:
        runtime = await running()
        snapshot = runtime.catalog.snapshot
        blocked = _blocked(runtime)
        listed = [_model(facts, snapshot, blocked) for facts in snapshot.models.values()]
        return told(request._request, listed)


class OpenAIModelsView(FreeView):
    @extend_schema(
        operation_id="openai_models",
        summary="List the models, as OpenAI does, or Anthropic for who sends anthropic-version",
        responses=OBJECT_RESPONSES,
        auth=[],
    )
    async def get(self, request: Request) -> HttpResponse:
        models = (await running()).catalog.snapshot.models.values()
        if _speaks_messages(request):
            found = [_MESSAGES_SMART, *map(_messages_model, models)]
            ends = {"first_id": found[0]["id"], "last_id": found[-1]["id"]}
            return _json({"data": found, "has_more": False, **ends})
        listed = [_SMART, *(_openai_model(facts) for facts in models)]
        return _json({"object": "list", "data": listed})


class OpenAIModelView(FreeView):
    @extend_schema(
        operation_id="openai_model", summary="One model, as OpenAI does", responses=OBJECT_RESPONSES, auth=[]
    )
    async def get(self, request: Request, model: str) -> HttpResponse:
        if model == SMART_MODEL:
            return _json(_MESSAGES_SMART if _speaks_messages(request) else _SMART)
        catalog = (await running()).catalog
        facts = catalog.snapshot.models.get(catalog.names.resolve(model).id)
        if facts is None:
            raise ModelNotFound(f"There is no model {model[:100]!r}. See GET /v1/models.", param="model")
        return _json(_messages_model(facts) if _speaks_messages(request) else _openai_model(facts))


class ModelNotFound(NotFound):
    code = "model_not_found"


_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)  # stands in for a day nobody knows
_SMART = {
    "id": SMART_MODEL,
    "object": "model",
    "created": int(_BEGUN.timestamp()),
    "owned_by": "routeplex",
}
_MESSAGES_SMART = {
    "type": "model",
    "id": SMART_MODEL,
    "display_name": "Smart Routing",
    "created_at": f"{_BEGUN:%Y-%m-%dT%H:%M:%SZ}",
}


def _speaks_messages(request: Request) -> bool:
    """Both APIs list their models at the same path; the Messages API's clients name its version."""
    return "anthropic-version" in request.headers


def _messages_model(facts: ModelFacts) -> dict[str, Any]:
    return {
        "type": "model",
        "id": facts.id,
        "display_name": facts.name,
        "created_at": f"{_released(facts):%Y-%m-%dT%H:%M:%SZ}",
        "max_input_tokens": facts.max_input_tokens,
        "max_tokens": facts.max_output_tokens,
    }


def _released(facts: ModelFacts) -> datetime:
    day = facts.released
    return _BEGUN if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _json(value: Any) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(value), content_type="application/json")


def _openai_model(facts: ModelFacts) -> dict[str, Any]:
    return {
        "id": facts.id,
        "object": "model",
        "created": int(_released(facts).timestamp()),
        "owned_by": facts.provider,
    }


def _estimated_model(asked: native_schema.NativeCall, runtime: Runtime) -> tuple[ModelFacts, str | None]:
    """The model to price: the one named, the strategy's choice, or the cheapest that can answer."""
    snapshot, steering = runtime.catalog.snapshot, asked.steering
    if steering.model:
        found = resolve_model(steering.model, runtime.catalog.names, "model")
        facts = snapshot.models.get(found.id)
        if facts is None:
            raise InvalidModel(
                f"{found.id} is known, but its provider is not configured here.", param="model"
            )
        return facts, found.note
    strategy = steering.strategy or Strategy.COST
    decision_input = DecisionInput(
        request=asked.request, mode=Mode.SMART, strategy=strategy, at=datetime.now(UTC), stream=False
    )
    try:
        return snapshot.models[decide(decision_input, snapshot).chain[0].model], None
    except NoCandidate as refusal:
        raise NoCapableModel(refusal.message) from refusal


def _estimate(
    request: ChatRequest, facts: ModelFacts, snapshot: Snapshot, note: str | None
) -> dict[str, Any]:
    """An upper estimate: all of max_output_tokens is taken to be used."""
    input_tokens = count_input(request, facts)
    output_tokens = min(request.max_output_tokens or facts.max_output_tokens, facts.max_output_tokens)
    tiers = snapshot.prices.get(facts.id)
    told = {
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
        # The input is counted; how much is written, above all while reasoning, is not known beforehand.
        told["estimated_cost_usd"] = round(float(usd), 9)
        told["confidence"] = "medium" if facts.efforts else "high"
        told["pricing"] = {
            "input_per_1k": float(prices.uncached_input / 1000),
            "output_per_1k": float(prices.output / 1000),
        }
    return told


def _blocked(runtime: Runtime) -> set[str]:
    models, providers = runtime.breaker.blocked(time.monotonic())
    facts = runtime.catalog.snapshot.models.values()
    return set(models) | {one.id for one in facts if one.provider in providers}


def _model(facts: ModelFacts, snapshot: Snapshot, blocked: set[str]) -> dict[str, Any]:
    tiers = snapshot.prices.get(facts.id)
    arm = next((arm for arm in snapshot.arms if arm.model == facts.id), None)
    seen = snapshot.latency.get(arm) if arm else None
    has = facts.capabilities
    return {
        "id": facts.id,
        "display_name": facts.name,
        "provider": facts.provider,
        "tier": facts.tier,
        "context_window": facts.context_window,
        "max_output_tokens": facts.max_output_tokens,
        "health": health_word(snapshot.p_up.get(facts.id, 1.0), facts.id in blocked),
        "pricing": {
            "input_per_1k": float(tiers[0].prices.uncached_input / 1000),
            "output_per_1k": float(tiers[0].prices.output / 1000),
            "cached_input_per_1k": float(tiers[0].prices.cache_read / 1000),
        }
        if tiers
        else None,
        "capabilities": {
            "streaming": True,
            "functions": Capability.TOOLS in has,
            "vision": Capability.VISION in has,
            "json_schema": Capability.STRUCTURED_OUTPUT in has,
            "reasoning": Capability.REASONING in has,
        },
        "aliases": list(facts.aliases),
        "deprecated": facts.shutdown is not None,
        "deprecation_date": facts.shutdown,
        "latency": {
            "ttft_p50_ms": round(seen.ttft_p50_ms),
            "tokens_per_second": round(seen.tokens_per_second),
        }
        if seen
        else None,
    }
