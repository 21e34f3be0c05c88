"""The model lists of the three providers, from the catalog."""

from datetime import UTC, datetime
from typing import Any

from routing.simulator.anthropic import rules as anthropic_rules
from routing.simulator.gemini import rules as gemini_rules
from routing.simulator.model.models import Model, find, of_provider
from routing.simulator.openai import rules as openai_rules
from routing.simulator.shared.errors import anthropic_error
from routing.simulator.shared.reply import Exchange
from routing.simulator.shared.wire import encode

_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def openai_models(exchange: Exchange) -> bytes:
    openai_rules.check_key(exchange.request)
    if exchange.path_model:
        return encode(_openai(openai_rules.model_named(exchange.path_model)))
    return encode({"object": "list", "data": [_openai(model) for model in of_provider("openai")]})


def anthropic_models(exchange: Exchange) -> bytes:
    anthropic_rules.check_access(exchange.request)
    if exchange.path_model:
        model = find("anthropic", exchange.path_model)
        if model is None:
            raise anthropic_error(404, f"model: {exchange.path_model}")
        return encode(_anthropic(model))
    models = of_provider("anthropic")
    limit = int(exchange.request.query.get("limit", "20") or 20)
    after = exchange.request.query.get("after_id")
    start = next((number + 1 for number, model in enumerate(models) if model.id == after), 0)
    page = models[start : start + limit]
    return encode(
        {
            "data": [_anthropic(model) for model in page],
            "has_more": start + limit < len(models),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def gemini_models(exchange: Exchange) -> bytes:
    gemini_rules.check_key(exchange.request)
    if exchange.path_model:
        version = exchange.request.path.split("/")[1]
        return encode(_gemini(gemini_rules.model_named(exchange.path_model, version, "GetModel")))
    return encode({"models": [_gemini(model) for model in of_provider("google")]})


def _openai(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": int(_released(model).timestamp()),
        "owned_by": "system",
    }


def _anthropic(model: Model) -> dict[str, Any]:
    efforts = model.quirks.get("effort_levels") or []
    kinds = model.quirks.get("thinking_types") or []
    yes, no = {"supported": True}, {"supported": False}
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": _rfc3339(_released(model)),
        "lifecycle": "deprecated" if model.shutdown_date else "active",
        "deprecated_at": None,
        "retires_at": f"{model.shutdown_date}T00:00:00Z" if model.shutdown_date else None,
        "line": next((line for line in ("opus", "sonnet", "haiku") if line in model.id), None),
        "max_input_tokens": model.max_input_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": {
            "batch": yes,
            "citations": yes,
            "code_execution": no,
            "context_management": no,
            "effort": {
                "supported": bool(efforts),
                **{level: {"supported": level in efforts} for level in _EFFORTS},
            },
            "image_input": {"supported": bool(model.capabilities.get("vision"))},
            "pdf_input": {"supported": bool(model.capabilities.get("pdf"))},
            "server_tools": no,
            "structured_outputs": {"supported": bool(model.capabilities.get("structured_output"))},
            "thinking": {
                "supported": bool(kinds),
                "types": {kind: {"supported": kind in kinds} for kind in ("adaptive", "enabled")},
            },
        },
    }


def _gemini(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name or model.id,
        "description": f"{model.name or model.id}, simulated",
        "inputTokenLimit": model.max_input_tokens,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        "thinking": model.thinks,
    }


def _released(model: Model) -> datetime:
    """The epoch when the date is unknown, as Anthropic does."""
    return datetime.fromisoformat(model.release_date or "1970-01-01").replace(tzinfo=UTC)


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
