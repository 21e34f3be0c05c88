"""The models, in the forms of the native API, OpenAI's and Anthropic's. Needs no key."""

import time
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.caller import Caller
from routing.catalog.measure import health_word
from routing.catalog.snapshot import Snapshot
from routing.doors.shared.async_view import PublicAPIView
from routing.doors.shared.errors import validation_error
from routing.doors.shared.native.envelope import OBJECT_RESPONSES, enveloped
from routing.language.arms import Capability, ModelFacts
from routing.language.chat import Strategy
from routing.language.errors import NotFound
from routing.state.runtime import Runtime, running
from routing.steps.model_rules import rules_of_caller

SMART_MODEL = "routeplex-ai"
# Smart Routing with the key's strategy, by both of its names, and with each of the others
SMART_NAMES = (
    SMART_MODEL,
    "auto",
    *(f"{SMART_MODEL}:{strategy}" for strategy in Strategy if strategy is not Strategy.AUTO),
)
MOST_LISTED = 1000  # on one page of Anthropic's list


class ModelsView(PublicAPIView):
    @extend_schema(operation_id="models", summary="List the models", responses=OBJECT_RESPONSES, auth=[])
    async def get(self, request: Request) -> HttpResponse:
        runtime = await running()
        snapshot = runtime.catalog.snapshot
        blocked = _blocked(runtime)
        listed = [_model(facts, snapshot, blocked) for facts in _usable(request, runtime)]
        return enveloped(request._request, listed)


class OpenAIModelsView(PublicAPIView):
    @extend_schema(
        operation_id="openai_models",
        summary="List the models in OpenAI's form, or in Anthropic's for clients that send anthropic-version",
        responses=OBJECT_RESPONSES,
        auth=[],
    )
    async def get(self, request: Request) -> HttpResponse:
        runtime = await running()
        models, names = _usable(request, runtime), _smart_names(request)
        if _speaks_messages(request):
            return _json(_page(request, [*map(_messages_smart, names), *map(_messages_model, models)]))
        snapshot = runtime.catalog.snapshot
        listed = [*map(_openai_smart, names), *(_openai_model(facts, snapshot) for facts in models)]
        return _json({"object": "list", "data": listed})


class OpenAIModelView(PublicAPIView):
    @extend_schema(
        operation_id="openai_model", summary="One model, as OpenAI does", responses=OBJECT_RESPONSES, auth=[]
    )
    async def get(self, request: Request, model: str) -> HttpResponse:
        if model in SMART_NAMES:
            return _json((_messages_smart if _speaks_messages(request) else _openai_smart)(model))
        runtime = await running()
        named = runtime.catalog.names.resolve(model).id
        facts = next((facts for facts in _usable(request, runtime) if facts.id == named), None)
        if facts is None:
            raise ModelNotFound(f"There is no model {model[:100]!r}. See GET /v1/models.", param="model")
        if _speaks_messages(request):
            return _json(_messages_model(facts))
        return _json(_openai_model(facts, runtime.catalog.snapshot))


def _usable(request: Request, runtime: Runtime) -> list[ModelFacts]:
    """The models that the key and its account may use; without a key, all."""
    models, caller = runtime.catalog.snapshot.models.values(), cast(Caller | None, request.auth)
    if caller is None or not (caller.models or caller.account_models):
        return list(models)
    rules = rules_of_caller(caller, runtime.catalog.names)
    return [facts for facts in models if rules.permits(facts.id)]


class ModelNotFound(NotFound):
    code = "model_not_found"


_UNKNOWN_DAY = datetime(2026, 1, 1, tzinfo=UTC)  # for models whose release date is unknown


def _smart_names(request: Request) -> tuple[str, ...]:
    """The names of Smart Routing. A key that may use certain models only lists them after the first."""
    caller = cast(Caller | None, request.auth)
    return SMART_NAMES[:1] if caller is not None and caller.models else SMART_NAMES


def _openai_smart(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(_UNKNOWN_DAY.timestamp()),
        "owned_by": "routeplex",
    }


def _messages_smart(name: str) -> dict[str, Any]:
    strategy = name.partition(":")[2]
    return {
        "type": "model",
        "id": name,
        "display_name": f"Smart Routing ({strategy})" if strategy else "Smart Routing",
        "created_at": f"{_UNKNOWN_DAY:%Y-%m-%dT%H:%M:%SZ}",
    }


def _page(request: Request, models: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of Anthropic's list: `limit` models after, or before, the named one; without `limit` all.

    Raises ValidationError for a limit that is no number from 1 to 1000.
    """
    query = request._request.GET
    ids = [model["id"] for model in models]
    after, before, limit = query.get("after_id"), query.get("before_id"), query.get("limit")
    if limit is not None and not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MOST_LISTED):
        rule = f"Must be an integer between 1 and {MOST_LISTED}."
        raise validation_error([{"field": "limit", "message": rule}])
    most = len(models) if limit is None else int(limit)
    if before in ids:
        rest = models[: ids.index(before)]
        page, has_more = rest[-most:], len(rest) > most
    else:
        rest = models[ids.index(after) + 1 :] if after in ids else models
        page, has_more = rest[:most], len(rest) > most
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return {"data": page, "has_more": has_more, "first_id": first, "last_id": last}


def _speaks_messages(request: Request) -> bool:
    """Return whether an Anthropic client asks: both APIs list their models at the same path."""
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
    return _UNKNOWN_DAY if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _json(value: Any) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(value), content_type="application/json")


def _openai_model(facts: ModelFacts, snapshot: Snapshot) -> dict[str, Any]:
    """OpenAI's four fields, and those by which clients of other gateways choose."""
    return {
        "id": facts.id,
        "object": "model",
        "created": int(_released(facts).timestamp()),
        "owned_by": facts.provider,
        "context_window": facts.context_window,
        "max_output_tokens": facts.max_output_tokens,
        "pricing": _pricing(facts, snapshot),
    }


def _blocked(runtime: Runtime) -> set[str]:
    models, providers = runtime.breaker.blocked(time.monotonic())
    facts = runtime.catalog.snapshot.models.values()
    return set(models) | {model.id for model in facts if model.provider in providers}


def _pricing(facts: ModelFacts, snapshot: Snapshot) -> dict[str, float] | None:
    """USD per thousand tokens; None: not known."""
    tiers = snapshot.prices.get(facts.id)
    if not tiers:
        return None
    return {
        "input_per_1k": float(tiers[0].prices.uncached_input / 1000),
        "output_per_1k": float(tiers[0].prices.output / 1000),
        "cached_input_per_1k": float(tiers[0].prices.cache_read / 1000),
    }


def _model(facts: ModelFacts, snapshot: Snapshot, blocked: set[str]) -> dict[str, Any]:
    arm = next((arm for arm in snapshot.arms if arm.model == facts.id), None)
    latency = snapshot.latency.get(arm) if arm else None
    has = facts.capabilities
    return {
        "id": facts.id,
        "display_name": facts.name,
        "provider": facts.provider,
        "tier": facts.tier,
        "context_window": facts.context_window,
        "max_output_tokens": facts.max_output_tokens,
        "health": health_word(snapshot.p_up.get(facts.id, 1.0), facts.id in blocked),
        "pricing": _pricing(facts, snapshot),
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
            "ttft_p50_ms": round(latency.ttft_p50_ms),
            "tokens_per_second": round(latency.tokens_per_second),
        }
        if latency
        else None,
    }
