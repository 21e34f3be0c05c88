"""Anthropic's reasons to refuse: keys, versions, unknown models, and the catalog's quirks of each model."""

from collections.abc import Sequence
from typing import Any

from routing.simulator.model.models import RETIRED, Model, find
from routing.simulator.model.usage import input_tokens
from routing.simulator.shared.errors import ErrorReply, anthropic_error
from routing.simulator.shared.fields import Field, check_value
from routing.simulator.shared.prompt import Generation
from routing.simulator.shared.wire import Request

PROVIDER = "anthropic"
VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
NO_SAMPLING_SINCE = "2026-10-21"
BETAS = (
    *("interleaved-thinking-", "context-management-", "fine-grained-tool-streaming-", "context-1m-"),
    *("thinking-display-updates-", "structured-outputs-", "prompt-caching-", "task-budgets-"),
)
SAMPLING = ("temperature", "top_p", "top_k")
_DEFAULT_EFFORT = "medium"
_MIN_BUDGET = 1024

_TYPE_NAMES = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "list",
    dict: "dictionary",
}


class AnthropicFieldErrors:
    """Anthropic's validation messages look like pydantic's: `messages.0.role: Input should be …`."""

    def missing(self, path: str) -> ErrorReply:
        return anthropic_error(400, f"{_dotted(path)}: Field required")

    def unknown(self, path: str) -> ErrorReply:
        return anthropic_error(400, f"{_dotted(path)}: Extra inputs are not permitted")

    def wrong_type(self, path: str, kinds: tuple[type, ...], value: Any) -> ErrorReply:
        name = "number" if float in kinds else _TYPE_NAMES.get(kinds[0], "dictionary")
        return anthropic_error(400, f"{_dotted(path)}: Input should be a valid {name}")

    def out_of_range(self, path: str, field: Field, value: Any) -> ErrorReply:
        if isinstance(value, str | list | dict):
            kind = "String" if isinstance(value, str) else "List"
            return anthropic_error(
                400, f"{_dotted(path)}: {kind} should have at least {field.low or 0:g} items"
            )
        if field.low is not None and value < field.low:
            return anthropic_error(
                400, f"{_dotted(path)}: Input should be greater than or equal to {field.low:g}"
            )
        return anthropic_error(400, f"{_dotted(path)}: Input should be less than or equal to {field.high:g}")

    def invalid_choice(self, path: str, value: str, choices: Sequence[str]) -> ErrorReply:
        quoted = [f"'{choice}'" for choice in choices]
        shown = ", ".join(quoted[:-1]) + " or " + quoted[-1] if len(quoted) > 1 else quoted[0]
        return anthropic_error(400, f"{_dotted(path)}: Input should be {shown}")


FIELD_ERRORS = AnthropicFieldErrors()


def check_access(request: Request) -> str:
    """Checks the key and returns the API version."""
    bearer = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (bearer[2] if bearer[0].lower() == "bearer" else "")
    if not key:
        raise anthropic_error(401, "x-api-key header is required")
    if key.startswith("bad"):
        raise anthropic_error(401, "invalid x-api-key")
    version = request.headers.get("anthropic-version")
    if not version:
        raise anthropic_error(400, "anthropic-version: header is required")
    if version not in VERSIONS:
        raise anthropic_error(400, f'anthropic-version: "{version}" is not a valid version')
    return version


def check_betas(request: Request, body: dict[str, Any]) -> None:
    """Unknown values of the beta header are refused, and so are fields of betas that it does not name."""
    sent = request.headers.get("anthropic-beta", "")
    names = [name for name in map(str.strip, sent.split(",")) if name]
    unknown = [name for name in names if not name.startswith(BETAS)]
    if unknown:
        shown = ", ".join(f"`{name}`" for name in unknown)
        raise anthropic_error(400, f"Unexpected value(s) {shown} for the `anthropic-beta` header.")
    if body.get("context_management") is not None and not _names(names, "context-management-"):
        raise FIELD_ERRORS.unknown("context_management")
    display = (body.get("thinking") or {}).get("display")
    shown_as = ("summarized", "omitted", *(["updates"] if _names(names, "thinking-display-updates-") else []))
    if display is not None:
        check_value(display, Field((str,), choices=shown_as), FIELD_ERRORS, "thinking.display")


def _names(names: list[str], beginning: str) -> bool:
    return any(name.startswith(beginning) for name in names)


def model_named(name: Any) -> Model:
    check_value(name, Field((str,)), FIELD_ERRORS, "model")
    model = find(PROVIDER, name)
    if model is None or name in RETIRED:
        raise anthropic_error(404, f"model: {name}")
    return model


def check_quirks(model: Model, body: dict[str, Any], version: str) -> None:
    _check_sampling(model, body, version)
    _check_thinking(model, body)
    forced = (body.get("tool_choice") or {}).get("type") in {"any", "tool"}
    if forced and not model.quirks.get("forced_tool_choice", True):
        kind = body["tool_choice"]["type"]
        raise anthropic_error(
            400, f"tool_choice.type: '{kind}' is not supported on this model. Use 'auto' or 'none'."
        )
    if forced and (body.get("thinking") or {}).get("type") == "enabled":
        raise anthropic_error(400, "Thinking may not be enabled when tool_choice forces tool use.")
    if body["max_tokens"] > model.max_output_tokens:
        raise anthropic_error(
            400,
            f"max_tokens: {body['max_tokens']} > {model.max_output_tokens}, which is the maximum allowed "
            f"number of output tokens for {body['model']}",
        )
    last = body["messages"][-1] if body["messages"] else {}
    if (
        isinstance(last, dict)
        and last.get("role") == "assistant"
        and not model.quirks.get("assistant_prefill", True)
    ):
        raise anthropic_error(
            400,
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message.",
        )


def effort_of(model: Model, body: dict[str, Any]) -> str | None:
    """The effort the model thinks at; None when it doesn't think."""
    effort = (body.get("output_config") or {}).get("effort")
    levels = model.quirks.get("effort_levels") or []
    if effort is not None:
        if not levels:
            raise anthropic_error(400, "This model does not support the effort parameter.")
        check_value(effort, Field((str,), choices=tuple(levels)), FIELD_ERRORS, "output_config.effort")
    kind = (body.get("thinking") or {}).get("type")
    on = (
        model.quirks.get("thinking_on_by_default", False) if kind is None else kind in {"adaptive", "enabled"}
    )
    if not (on or model.quirks.get("thinking_always_on")):
        return None
    return effort or _DEFAULT_EFFORT


def shows_thinking(model: Model, body: dict[str, Any]) -> bool:
    """Return whether the answer has summarised thinking; models that think by default omit it by default."""
    default = "omitted" if model.quirks.get("thinking_on_by_default") else "summarized"
    return ((body.get("thinking") or {}).get("display") or default) != "omitted"


def check_prompt(generation: Generation) -> None:
    size = input_tokens(generation)
    if size > generation.model.max_input_tokens:
        raise anthropic_error(
            400, f"prompt is too long: {size} tokens > {generation.model.max_input_tokens} maximum"
        )


def response_headers(request_id: str) -> list[tuple[str, str]]:
    headers = [
        ("request-id", request_id),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
    ]
    for name, limit in (
        ("requests", 4_000),
        ("tokens", 4_800_000),
        ("input-tokens", 4_000_000),
        ("output-tokens", 800_000),
    ):
        headers += [
            (f"anthropic-ratelimit-{name}-limit", str(limit)),
            (f"anthropic-ratelimit-{name}-remaining", str(limit - limit // 1000)),
            (f"anthropic-ratelimit-{name}-reset", "2026-11-23T12:00:00Z"),
        ]
    return headers


def _check_sampling(model: Model, body: dict[str, Any], version: str) -> None:
    rule = str(model.quirks.get("sampling_params", ""))
    for name in SAMPLING:
        if body.get(name) is None:
            continue
        if version >= NO_SAMPLING_SINCE:
            raise anthropic_error(400, f"{name}: Extra inputs are not permitted")
        if rule.startswith("rejected"):
            raise anthropic_error(400, f"`{name}` is not supported on this model.")


def _check_thinking(model: Model, body: dict[str, Any]) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    choices = ("adaptive", "enabled", "disabled", "between_tools")
    if kind is None:
        raise FIELD_ERRORS.missing("thinking.type")
    check_value(kind, Field((str,), choices=choices), FIELD_ERRORS, "thinking.type")
    off = model.quirks.get("thinking_off")
    allowed = [*model.quirks.get("thinking_types", ())] + ([off] if off else [])
    if kind not in allowed:
        raise anthropic_error(
            400,
            f'"thinking.type.{kind}" is not supported for this model. Use '
            + " or ".join(f'"thinking.type.{choice}"' for choice in allowed)
            + ".",
        )
    if kind != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if budget is None:
        raise FIELD_ERRORS.missing("thinking.enabled.budget_tokens")
    check_value(budget, Field((int,), low=_MIN_BUDGET), FIELD_ERRORS, "thinking.enabled.budget_tokens")
    if budget >= body["max_tokens"]:
        raise anthropic_error(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _dotted(path: str) -> str:
    return path.replace("[", ".").replace("]", "")
