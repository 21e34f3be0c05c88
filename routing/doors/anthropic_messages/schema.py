"""The bodies of `POST /v1/messages` and of its `count_tokens`, as Anthropic's clients send them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from routing.doors.anthropic_messages import parse_messages as messages_parse
from routing.doors.anthropic_messages import parse_options as options
from routing.doors.shared import fields
from routing.doors.shared.errors import validation_error
from routing.doors.shared.field_errors import MAX_PATH, FieldErrors
from routing.doors.shared.fields import read_by
from routing.doors.shared.openai_messages import MAX_MESSAGES, are_blank
from routing.doors.shared.steering import steering
from routing.doors.shared.wire_types import (
    OBJECT,
    OBJECTS,
    TEXT_LIST,
    TEXT_OR_OBJECTS,
    ModelOrRouter,
    Share,
    Tokens,
)
from routing.language.arms import Effort
from routing.language.chat import Beta, ChatRequest, Mode, Sampling, Steering, marked_at_end
from routing.language.errors import EmptyMessages, ThreadUnsupported, UnsupportedParameter

BETA_HEADER = "anthropic-beta"
MAX_BETAS = 50
_READ_HERE = "structured-outputs-"  # it means output_config.format, which every provider takes
_BETA = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TIERS = {"auto": "auto", "standard_only": "default"}
# Accepted and ignored, as the receipt reports: they tune features that only Anthropic has.
_UNHEEDED = ("context_management", "diagnostics", "fallbacks", "speed", "user_profile_id")
_NO_EFFECT = {"speed": "standard", "fallbacks": []}  # values equal to leaving the field out
# Refused: they need stored state, hosted tools, or a choice of region or payer.
_UNSUPPORTED = (
    "billing_policy",
    "compaction",
    "container",
    "fallback_credit_token",
    "inference_geo",
    "mcp_servers",
)
_DEFAULTS: dict[str, Any] = {
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "inference_geo": "global",
    "mcp_servers": [],
}


class MessagesCall(msgspec.Struct, frozen=True):
    request: ChatRequest
    steering: Steering
    shows_thinking: bool


_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["user", "assistant", "system"]},
        "content": TEXT_OR_OBJECTS,
    },
}
_MESSAGES = {"type": "array", "items": _MESSAGE, "minItems": 1, "maxItems": MAX_MESSAGES}
_Unheeded = Annotated[Any, Meta(description="Ignored, as the receipt reports.")]
_Refused = Annotated[Any, Meta(description="Refused: not possible here.")]


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of Anthropic's Messages API that count as input. null means absent."""

    messages: Annotated[list[Any], read_by(messages_parse.messages, _MESSAGES)]
    model: ModelOrRouter
    system: Annotated[Any, read_by(messages_parse.system, TEXT_OR_OBJECTS)] = None
    tools: Annotated[Any, read_by(options.tools, OBJECTS | {"maxItems": options.MAX_TOOLS})] = None
    tool_choice: Annotated[Any, read_by(options.tool_choice, OBJECT)] = None
    thinking: Annotated[Any, read_by(options.thinking, OBJECT)] = None
    output_config: Annotated[Any, read_by(options.output_config, OBJECT)] = None
    cache_control: Annotated[Any, read_by(options.cache, OBJECT)] = None
    context_management: _Unheeded = None
    diagnostics: _Unheeded = None
    fallbacks: _Unheeded = None
    speed: _Unheeded = None
    user_profile_id: _Unheeded = None
    thread: _Refused = None
    billing_policy: _Refused = None
    compaction: _Refused = None
    container: _Refused = None
    fallback_credit_token: _Refused = None
    inference_geo: _Refused = None
    mcp_servers: _Refused = None


class Messages(Count, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Anthropic's `messages.create`. null means absent; unknown fields need `anthropic-beta`."""

    max_tokens: Tokens
    stream: bool | None = None
    stop_sequences: Annotated[Any, read_by(options.stops, TEXT_LIST | {"maxItems": options.MAX_STOPS})] = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Share | None = None
    top_k: Tokens | None = None
    metadata: Annotated[Any, read_by(options.user, OBJECT)] = None
    service_tier: Literal["auto", "standard_only"] | None = None


def parse(raw: dict[str, Any], headers: Mapping[str, str]) -> MessagesCall:
    """Parse a body and the steering headers.

    Raises ThreadUnsupported, UnsupportedParameter, ValidationError, InvalidModel or EmptyMessages.
    """
    _refuse(raw)
    raw, beta = _known(raw, headers, Messages)
    sent = fields.convert(raw, Messages)
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    errors = FieldErrors()
    request, thinking = _request(sent, chosen, beta, errors)
    if thinking.budget is not None and thinking.budget >= sent.max_tokens:
        errors.add("thinking.budget_tokens", "Must be less than max_tokens.")
    request = msgspec.structs.replace(
        request,
        max_output_tokens=sent.max_tokens,
        sampling=Sampling(temperature=sent.temperature, top_p=sent.top_p, top_k=sent.top_k),
        stop=options.stops(sent.stop_sequences, errors),
        user=options.user(sent.metadata, errors),
        service_tier=_TIERS[sent.service_tier] if sent.service_tier else None,
    )
    _check(request, errors)
    return MessagesCall(request, chosen, thinking.shown)


def parse_count(raw: dict[str, Any], headers: Mapping[str, str]) -> MessagesCall:
    """Parse a body of `count_tokens`. Raises the same errors as `parse`."""
    _refuse(raw)
    raw, beta = _known(raw, headers, Count)
    sent = fields.convert(raw, Count)
    chosen = steering(sent.model, headers, stream=False)
    errors = FieldErrors()
    request, thinking = _request(sent, chosen, beta, errors)
    _check(request, errors)
    return MessagesCall(request, chosen, thinking.shown)


def _known(
    raw: dict[str, Any], headers: Mapping[str, str], struct: type[Count]
) -> tuple[dict[str, Any], Beta | None]:
    """The request without the fields of betas, and those, when the client sends `anthropic-beta`.

    A beta may add fields that nothing here reads; clients without a beta get an error for them. An older beta
    had `output_format` in place of `output_config.format`.
    """
    header = headers.get(BETA_HEADER)
    if header is None:
        return raw, None
    sent = (name for name in map(str.strip, header.split(",")) if not name.startswith(_READ_HERE))
    names = dict.fromkeys(name for name in sent if _BETA.fullmatch(name))
    if raw.get("output_format") is not None:
        config = raw.get("output_config") or {}
        if not isinstance(config, dict) or config.get("format") is not None:
            fault = "Cannot be combined with output_config.format. Send one of them."
            raise validation_error([{"field": "output_format", "message": fault}])
        raw = raw | {"output_config": config | {"format": raw["output_format"]}}
    raw = {name: value for name, value in raw.items() if name != "output_format"}
    known = {name: value for name, value in raw.items() if name in struct.__struct_fields__}
    brought = {name: value for name, value in raw.items() if name not in known and value is not None}
    if (context := known.pop("context_management", None)) is not None:
        brought["context_management"] = context
    if len(names) > MAX_BETAS or len(brought) > MAX_BETAS:
        fault = f"At most {MAX_BETAS} betas, and as many fields of betas, are possible."
        raise validation_error([{"field": BETA_HEADER, "message": fault}])
    return known, Beta(tuple(names), {name[:MAX_PATH]: value for name, value in brought.items()})


def _refuse(raw: dict[str, Any]) -> None:
    if raw.get("thread") is not None:
        raise ThreadUnsupported(
            "Threads are not possible here: nothing is stored. Send the whole conversation, without thread.",
            param="thread",
            details={"unsupported": ["stored_state"]},
        )
    for name in _UNSUPPORTED:
        if raw.get(name) not in (None, _DEFAULTS.get(name)):
            raise UnsupportedParameter(f"{name} is not possible here. Leave it out.", param=name)


def _request(
    sent: Count, chosen: Steering, beta: Beta | None, errors: FieldErrors
) -> tuple[ChatRequest, options.Thinking]:
    tools = options.tools(sent.tools, errors)
    choice = options.tool_choice(sent.tool_choice, errors)
    options.check_tool_choice(choice.tool, tools, errors)
    thinking = options.thinking(sent.thinking, errors)
    output = options.output_config(sent.output_config, errors)
    tuned = options.tuned(sent.output_config, sent.thinking)
    if beta is None:
        for path in tuned:
            errors.ignore(path)
        beta = Beta()
    else:
        beta = Beta(beta.names, beta.fields | tuned)
    messages = messages_parse.messages(sent.messages, errors)
    messages = marked_at_end(messages, options.cache(sent.cache_control, errors))
    ignored = (name for name in _UNHEEDED if getattr(sent, name) not in (None, _NO_EFFECT.get(name)))
    request = ChatRequest(
        messages=(*messages_parse.system(sent.system, errors), *messages),
        tools=tools,
        tool_choice=choice.tool,
        parallel_tool_calls=choice.parallel,
        response_format=output.format,
        effort=output.effort or thinking.effort or _default_effort(chosen, thinking),
        thinking_budget=thinking.budget,
        beta=beta,
        ignored=(*ignored, *errors.ignored),
    )
    if not errors.details and are_blank(messages):
        raise EmptyMessages("The messages are empty. Send at least one with content.", param="messages")
    return request, thinking


def _default_effort(chosen: Steering, thinking: options.Thinking) -> Effort | None:
    """The effort of adaptive thinking: the API's default for a named model; else the router chooses."""
    return Effort.HIGH if thinking.shown and chosen.mode is Mode.MANUAL else None


def _check(request: ChatRequest, errors: FieldErrors) -> None:
    if errors.details:
        raise errors.error()
