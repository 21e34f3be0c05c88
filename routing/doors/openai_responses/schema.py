"""The body of `POST /v1/responses`, as OpenAI's clients send it; nothing of it is stored."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from drf_spectacular.utils import extend_schema_field
from msgspec import Meta

from routing.doors.openai_chat.schema import MAX_TIER, OpenAIChat
from routing.doors.openai_responses import parse_input as responses_parse
from routing.doors.openai_responses import parse_options as options
from routing.doors.shared import fields
from routing.doors.shared.field_errors import FieldErrors
from routing.doors.shared.fields import ParsedField, StrictSerializer, optional
from routing.doors.shared.openai_messages import are_blank
from routing.doors.shared.openai_tools import MAX_TOOLS
from routing.doors.shared.steering import steering
from routing.doors.shared.wire_types import (
    MAX_NAME,
    MAX_TOKENS,
    MAX_USER,
    ModelName,
    Pairs,
    Share,
    Temperature,
    Tokens,
    UserName,
)
from routing.language.chat import ChatRequest, Message, Role, Sampling, Steering, Text, Tool
from routing.language.errors import EmptyMessages, UnsupportedParameter

# What would need a memory of earlier requests, or of requests under way
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background")
# OpenAI's models get them as they are, in either of its dialects; others know nothing like it.
_OPENAI_ONLY = ("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
# Taken and left aside, which the receipt tells: nothing is stored, no tool is hosted, and no input is cut.
_UNHEEDED = ("store", "max_tool_calls", "truncation")
MAX_LOGPROBS = 20


class ResponsesAsk(msgspec.Struct, frozen=True):
    """`echo`: the settings a response repeats; `namespaces`: by a tool's name here, where it is from."""

    request: ChatRequest
    steering: Steering
    reasoning: options.Reasoning
    echo: dict[str, Any]
    namespaces: dict[str, tuple[str, str]]


class Responses(msgspec.Struct, frozen=True):
    """What we know; agents send more, which is left aside. `Any`: read by the parsers, or not heeded."""

    input: Any
    model: ModelName
    instructions: str | None = None
    max_output_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    text: Any = None
    reasoning: Any = None
    include: Any = None
    metadata: Pairs | None = None
    user: UserName | None = None
    service_tier: Annotated[str, Meta(max_length=MAX_TIER)] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    store: bool | None = None
    truncation: Literal["disabled", "auto"] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MAX_LOGPROBS)] | None = None
    max_tool_calls: Tokens | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    background: Any = None
    prompt_cache_key: Annotated[str, Meta(max_length=MAX_USER)] | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Annotated[str, Meta(max_length=MAX_TIER)] | None = None
    safety_identifier: UserName | None = None


_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
_LIST: dict[str, Any] = {"type": "array", "items": _OBJECT}


@extend_schema_field({"oneOf": [{"type": "string"}, _LIST | {"maxItems": responses_parse.MAX_ITEMS}]})
class _InputField(ParsedField):
    pass


@extend_schema_field(_LIST | {"maxItems": MAX_TOOLS})
class _ToolsField(ParsedField):
    pass


@extend_schema_field({"oneOf": [{"type": "string", "enum": ["auto", "none", "required"]}, _OBJECT]})
class _ToolChoiceField(ParsedField):
    pass


@extend_schema_field(_OBJECT)
class _ObjectField(ParsedField):
    pass


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class _IncludeField(ParsedField):
    pass


@extend_schema_field({})
class _RefusedField(ParsedField):
    def __init__(self) -> None:
        told = "Refused: nothing is stored here."
        super().__init__(lambda raw, errors, path: raw, required=False, allow_null=True, help_text=told)


class ResponsesSerializer(StrictSerializer):
    input = _InputField(responses_parse.items)
    model = fields.StrictText(
        max_length=MAX_NAME,
        help_text="A catalog id or alias, or routeplex-ai (routeplex-ai:cost, …) for Smart Routing.",
    )
    instructions = optional(fields.StrictText)
    max_output_tokens = optional(fields.StrictInteger, min_value=1, max_value=MAX_TOKENS)
    temperature = optional(fields.StrictNumber, min_value=0, max_value=2)
    top_p = optional(fields.StrictNumber, min_value=0, max_value=1)
    tools = _ToolsField(options.tools, required=False, allow_null=True)
    tool_choice = _ToolChoiceField(options.tool_choice, required=False, allow_null=True)
    parallel_tool_calls = optional(fields.StrictFlag)
    text = _ObjectField(options.text_settings, required=False, allow_null=True)
    reasoning = _ObjectField(options.reasoning, required=False, allow_null=True)
    include = _IncludeField(options.include, required=False, allow_null=True)
    metadata = optional(fields.Metadata)
    user = optional(fields.StrictText, max_length=MAX_USER)
    service_tier = optional(fields.StrictText, max_length=MAX_TIER)
    stream = optional(fields.StrictFlag)
    stream_options = optional(fields.StrictDict)
    store = optional(fields.StrictFlag, help_text="Not heeded: nothing is stored.")
    truncation = optional(
        fields.StrictChoice,
        choices=["disabled", "auto"],
        help_text="auto is not heeded: what fits no model is refused, never cut.",
    )
    top_logprobs = optional(fields.StrictInteger, min_value=0, max_value=MAX_LOGPROBS)
    max_tool_calls = optional(
        fields.StrictInteger,
        min_value=1,
        max_value=MAX_TOKENS,
        help_text="Not heeded: it bounds hosted tools.",
    )
    previous_response_id = _RefusedField()
    conversation = _RefusedField()
    prompt = _RefusedField()
    background = _RefusedField()
    prompt_cache_key = optional(fields.StrictText, max_length=MAX_USER)
    prompt_cache_options = optional(fields.StrictDict)
    prompt_cache_retention = optional(fields.StrictText, max_length=MAX_TIER)
    safety_identifier = optional(fields.StrictText, max_length=MAX_USER)


def read(raw: dict[str, Any], headers: Mapping[str, str]) -> ResponsesAsk:
    """What is asked, by body and headers.

    Raises UnsupportedParameter, ValidationError, InvalidModel or EmptyMessages.
    """
    _refuse_state(raw)
    try:
        sent = msgspec.convert(raw, Responses)
    except msgspec.ValidationError:
        raise fields.refusal(ResponsesSerializer, raw) from None
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    errors = FieldErrors()
    _leave_unknown(raw, errors)
    tools, namespaces = _tools(sent, errors)
    choice = options.tool_choice(sent.tool_choice, errors)
    options.check_tool_choice(choice, tools, errors)
    text, reasoning = options.text_settings(sent.text, errors), options.reasoning(sent.reasoning, errors)
    included = options.include(sent.include, errors)
    said = responses_parse.items(sent.input, errors)
    system = (Message(Role.SYSTEM, (Text(sent.instructions),)),) if sent.instructions else ()
    request = ChatRequest(
        messages=(*system, *said),
        max_output_tokens=sent.max_output_tokens,
        sampling=Sampling(temperature=sent.temperature, top_p=sent.top_p),
        logprobs=options.LOGPROBS in included or bool(sent.top_logprobs),
        top_logprobs=sent.top_logprobs or None,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=sent.parallel_tool_calls,
        response_format=text.format,
        effort=reasoning.effort,
        verbosity=text.verbosity,
        user=sent.user,
        safety_identifier=sent.safety_identifier,
        metadata=sent.metadata,
        service_tier=sent.service_tier,
        extra={name: raw[name] for name in _OPENAI_ONLY if raw.get(name) is not None},
        unheeded=(*(name for name in _UNHEEDED if raw.get(name) not in _NOTHING), *errors.ignored),
    )
    if errors.details:
        raise errors.error()
    if are_blank(said):
        raise EmptyMessages("The input is empty. Send at least one item with content.", param="input")
    return ResponsesAsk(request, chosen, reasoning, _echo(sent, request), namespaces)


def _tools(sent: Responses, errors: FieldErrors) -> tuple[tuple[Tool, ...], dict[str, tuple[str, str]]]:
    """All that may be called, the latest of each name, and the namespaces they are from."""
    lists = [("tools", sent.tools), *options.additional(sent.input)]
    own = any(options.has_own(raw) for _, raw in lists)
    tools = {
        tool.name: tool for path, raw in lists for tool in options.tools(raw, errors, path, beside_own=own)
    }
    if len(tools) > MAX_TOOLS:
        errors.add("tools", f"At most {MAX_TOOLS} tools are possible, with those of namespaces and items.")
    if errors.details:
        return (), {}
    return tuple(tools.values()), {
        name: place for _, raw in lists for name, place in options.namespaces(raw).items()
    }


def _leave_unknown(raw: dict[str, Any], errors: FieldErrors) -> None:
    """Agents send more than is known here; but who means the other API's parameters is told so."""
    known = frozenset(Responses.__struct_fields__)
    for name in raw.keys() - known:
        if name in OpenAIChat.__struct_fields__:
            errors.add(name, "Is a parameter of /v1/chat/completions, not of this path.")
    errors.ignore_unknown(raw, known, "")


_NOTHING = (None, False, "disabled")


def _refuse_state(raw: dict[str, Any]) -> None:
    for name in _STATEFUL:
        if raw.get(name) not in (None, False):
            raise UnsupportedParameter(
                f"{name} is not possible here: nothing is stored. Send the whole conversation as input, "
                "with the output items of earlier responses, and wait for the answer.",
                param=name,
            )


def _echo(sent: Responses, request: ChatRequest) -> dict[str, Any]:
    text = sent.text or {}
    user = {} if sent.user is None else {"user": sent.user}  # never null
    return user | {
        "background": False,
        "instructions": sent.instructions,
        "max_output_tokens": sent.max_output_tokens,
        "max_tool_calls": sent.max_tool_calls,
        "metadata": sent.metadata or {},
        "parallel_tool_calls": sent.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": sent.prompt_cache_key,
        "safety_identifier": sent.safety_identifier,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0 if sent.temperature is None else sent.temperature,
        "text": {
            "format": text.get("format") or {"type": "text"},
            "verbosity": request.verbosity or "medium",
        },
        "tool_choice": sent.tool_choice or "auto",
        "tools": [_tool(one) for one in sent.tools or ()],
        "top_logprobs": sent.top_logprobs or 0,
        "top_p": 1.0 if sent.top_p is None else sent.top_p,
        "truncation": "disabled",
    }


def _tool(raw: dict[str, Any]) -> dict[str, Any]:
    """Complete, as clients expect it."""
    if raw.get("type") != "function":
        return raw
    return {
        "description": None,
        **raw,
        "parameters": raw.get("parameters"),
        "strict": bool(raw.get("strict")),
    }
