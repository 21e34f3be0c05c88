"""The bodies of `POST /v1/messages` and of its `count_tokens`, as Anthropic's clients send them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from drf_spectacular.utils import extend_schema_field
from msgspec import Meta

from routing.doors.anthropic_messages import parse_messages as messages_parse
from routing.doors.anthropic_messages import parse_options as options
from routing.doors.shared import fields
from routing.doors.shared.field_errors import FieldErrors
from routing.doors.shared.fields import ParsedField, StrictSerializer, optional
from routing.doors.shared.openai_messages import MAX_MESSAGES, are_blank
from routing.doors.shared.openai_tools import MAX_TOOLS
from routing.doors.shared.steering import steering
from routing.doors.shared.wire_types import MAX_NAME, MAX_TOKENS, ModelName, Share, Tokens
from routing.language.arms import Effort
from routing.language.chat import ChatRequest, Mode, Sampling, Steering
from routing.language.errors import EmptyMessages, ThreadUnsupported, UnsupportedParameter

BETA_HEADER = "anthropic-beta"
_TIERS = {"auto": "auto", "standard_only": "default"}
# Taken and left aside, which the receipt tells: they tune what only the API's own provider has.
_UNHEEDED = ("context_management", "diagnostics", "fallbacks", "speed", "user_profile_id")
_TAKEN = {"speed": "standard", "fallbacks": []}  # the values that ask for nothing
# What would need stored state, hosted tools or a choice of place and of who pays that we do not have
_UNSUPPORTED = (
    "billing_policy",
    "compaction",
    "container",
    "fallback_credit_token",
    "inference_geo",
    "mcp_servers",
)
_ASKS_NOTHING: dict[str, Any] = {
    "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    "inference_geo": "global",
    "mcp_servers": [],
}


class MessagesAsk(msgspec.Struct, frozen=True):
    request: ChatRequest
    steering: Steering
    shows_thinking: bool


class _Countable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as input. `Any`: read by the parsers."""

    messages: list[Any]
    model: ModelName
    system: Any = None
    tools: Any = None
    tool_choice: Any = None
    thinking: Any = None
    output_config: Any = None
    cache_control: Any = None
    context_management: Any = None
    diagnostics: Any = None
    fallbacks: Any = None
    speed: Any = None
    user_profile_id: Any = None
    thread: Any = None
    billing_policy: Any = None
    compaction: Any = None
    container: Any = None
    fallback_credit_token: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None


class Count(_Countable, frozen=True, forbid_unknown_fields=True):
    pass


class Messages(_Countable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    max_tokens: Tokens
    stream: bool | None = None
    stop_sequences: Any = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Share | None = None
    top_k: Tokens | None = None
    metadata: Any = None
    service_tier: Literal["auto", "standard_only"] | None = None


_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
_LIST: dict[str, Any] = {"type": "array", "items": _OBJECT}
_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["user", "assistant", "system"]},
        "content": {"oneOf": [{"type": "string"}, _LIST]},
    },
}


@extend_schema_field({"type": "array", "items": _MESSAGE, "minItems": 1, "maxItems": MAX_MESSAGES})
class _MessagesField(ParsedField):
    pass


@extend_schema_field({"oneOf": [{"type": "string"}, _LIST]})
class _SystemField(ParsedField):
    pass


@extend_schema_field(_LIST | {"maxItems": MAX_TOOLS})
class _ToolsField(ParsedField):
    pass


@extend_schema_field(
    {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": options.MAX_STOPS}
)
class _StopsField(ParsedField):
    pass


@extend_schema_field(_OBJECT)
class _ObjectField(ParsedField):
    pass


@extend_schema_field({})
class _AsideField(ParsedField):
    def __init__(self, told: str) -> None:
        super().__init__(lambda raw, errors, path: raw, required=False, allow_null=True, help_text=told)


def _unheeded() -> _AsideField:
    return _AsideField("Not heeded, as the receipt tells.")


def _refused() -> _AsideField:
    return _AsideField("Refused: not possible here.")


class CountSerializer(StrictSerializer):
    messages = _MessagesField(messages_parse.messages)
    model = fields.StrictText(
        max_length=MAX_NAME,
        help_text="A catalog id or alias, or routeplex-ai (routeplex-ai:cost, …) for Smart Routing.",
    )
    system = _SystemField(messages_parse.system, required=False, allow_null=True)
    tools = _ToolsField(options.tools, required=False, allow_null=True)
    tool_choice = _ObjectField(options.tool_choice, required=False, allow_null=True)
    thinking = _ObjectField(options.thinking, required=False, allow_null=True)
    output_config = _ObjectField(options.output_config, required=False, allow_null=True)
    cache_control = _ObjectField(options.cache, required=False, allow_null=True)
    context_management = _unheeded()
    diagnostics = _unheeded()
    fallbacks = _unheeded()
    speed = _unheeded()
    user_profile_id = _unheeded()
    thread = _refused()
    billing_policy = _refused()
    compaction = _refused()
    container = _refused()
    fallback_credit_token = _refused()
    inference_geo = _refused()
    mcp_servers = _refused()

    class Meta:
        closed = True


class MessagesSerializer(CountSerializer):
    max_tokens = fields.StrictInteger(min_value=1, max_value=MAX_TOKENS)
    stream = optional(fields.StrictFlag)
    stop_sequences = _StopsField(options.stops, required=False, allow_null=True)
    temperature = optional(fields.StrictNumber, min_value=0, max_value=1)
    top_p = optional(fields.StrictNumber, min_value=0, max_value=1)
    top_k = optional(fields.StrictInteger, min_value=1, max_value=MAX_TOKENS)
    metadata = _ObjectField(options.user, required=False, allow_null=True)
    service_tier = optional(fields.StrictChoice, choices=list(_TIERS))

    class Meta:
        closed = True


def read(raw: dict[str, Any], headers: Mapping[str, str]) -> MessagesAsk:
    """What is asked, by body and headers.

    Raises ThreadUnsupported, UnsupportedParameter, ValidationError, InvalidModel or EmptyMessages.
    """
    _refuse(raw)
    raw, beta = _known(raw, headers, Messages)
    try:
        sent = msgspec.convert(raw, Messages)
    except msgspec.ValidationError:
        raise fields.refusal(MessagesSerializer, raw) from None
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    errors = FieldErrors()
    for name in beta:
        errors.ignore(name)
    request, thinking = _request(sent, chosen, errors)
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
    return MessagesAsk(request, chosen, thinking.shown)


def read_count(raw: dict[str, Any], headers: Mapping[str, str]) -> MessagesAsk:
    """What is to be counted; raises as `read`."""
    _refuse(raw)
    raw, _ = _known(raw, headers, Count)
    try:
        sent = msgspec.convert(raw, Count)
    except msgspec.ValidationError:
        raise fields.refusal(CountSerializer, raw) from None
    chosen = steering(sent.model, headers, stream=False)
    errors = FieldErrors()
    request, thinking = _request(sent, chosen, errors)
    _check(request, errors)
    return MessagesAsk(request, chosen, thinking.shown)


def _known(
    raw: dict[str, Any], headers: Mapping[str, str], struct: type[_Countable]
) -> tuple[dict[str, Any], list[str]]:
    """The request without what only the betas know that its client names, and the names of that."""
    if BETA_HEADER not in headers:
        return raw, []
    known = {name: value for name, value in raw.items() if name in struct.__struct_fields__}
    return known, [name for name in raw if name not in known]


def _refuse(raw: dict[str, Any]) -> None:
    if raw.get("thread") is not None:
        raise ThreadUnsupported(
            "Threads are not possible here: nothing is stored. Send the whole conversation, without thread.",
            param="thread",
            details={"unsupported": ["stored_state"]},
        )
    for name in _UNSUPPORTED:
        if raw.get(name) not in (None, _ASKS_NOTHING.get(name)):
            raise UnsupportedParameter(f"{name} is not possible here. Leave it out.", param=name)


def _request(sent: _Countable, chosen: Steering, errors: FieldErrors) -> tuple[ChatRequest, options.Thinking]:
    tools = options.tools(sent.tools, errors)
    choice = options.tool_choice(sent.tool_choice, errors)
    options.check_tool_choice(choice.tool, tools, errors)
    thinking = options.thinking(sent.thinking, errors)
    output = options.output_config(sent.output_config, errors)
    said = messages_parse.messages(sent.messages, errors)
    if (mark := options.cache(sent.cache_control, errors)) is not None:
        said = messages_parse.marked_last(said, mark)
    aside = (name for name in _UNHEEDED if getattr(sent, name) not in (None, _TAKEN.get(name)))
    request = ChatRequest(
        messages=(*messages_parse.system(sent.system, errors), *said),
        tools=tools,
        tool_choice=choice.tool,
        parallel_tool_calls=choice.parallel,
        response_format=output.format,
        effort=output.effort or thinking.effort or _default_effort(chosen, thinking),
        thinking_budget=thinking.budget,
        unheeded=(*aside, *errors.ignored),
    )
    if not errors.details and are_blank(said):
        raise EmptyMessages("The messages are empty. Send at least one with content.", param="messages")
    return request, thinking


def _default_effort(chosen: Steering, thinking: options.Thinking) -> Effort | None:
    """Who asks one model to think as much as it sees fit means the API's default; else the router chooses."""
    return Effort.HIGH if thinking.shown and chosen.mode is Mode.MANUAL else None


def _check(request: ChatRequest, errors: FieldErrors) -> None:
    if errors.details:
        raise errors.error()
