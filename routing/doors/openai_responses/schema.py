"""The body of `POST /v1/responses`, as OpenAI's clients send it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from msgspec import Meta

from routing.doors.openai_responses import parse_input as responses_parse
from routing.doors.openai_responses import parse_options as options
from routing.doors.shared import fields
from routing.doors.shared.field_errors import FieldErrors
from routing.doors.shared.fields import read_by
from routing.doors.shared.openai_messages import are_blank, mark_at
from routing.doors.shared.openai_tools import MAX_TOOLS
from routing.doors.shared.steering import steering
from routing.doors.shared.wire_types import (
    MAX_USER,
    OBJECT,
    OBJECTS,
    ModelOrRouter,
    Pairs,
    Penalty,
    ServiceTier,
    Share,
    Temperature,
    Tokens,
    UserName,
    text_or_object,
)
from routing.language.chat import (
    ChatRequest,
    Message,
    Role,
    Sampling,
    Steering,
    Text,
    Tool,
    marked_at_end,
)
from routing.language.errors import EmptyMessages, UnsupportedParameter
from routing.state.responses import Input

# Refused: they need stored conversations and prompts, or requests that run in the background
_STATEFUL = ("conversation", "prompt", "background")
# Passed on to OpenAI's models as they are; other providers have nothing like them.
_OPENAI_ONLY = ("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
# Accepted and ignored, as the receipt reports: no tool is hosted, no input is cut.
_UNHEEDED = ("max_tool_calls", "truncation")
# Parameters of /v1/chat/completions that this API does not have; a client that sends them has the wrong path.
CHAT_PARAMETERS = frozenset(
    {"messages", "max_tokens", "max_completion_tokens", "top_k"}
    | {"seed", "logit_bias", "stop", "n", "logprobs", "functions", "function_call", "response_format"}
    | {"reasoning_effort", "verbosity"}
)
MAX_LOGPROBS = 20


class Record(msgspec.Struct, frozen=True):
    """The part of a request that is kept once it is answered."""

    account_id: int
    answered: Input


class ResponsesCall(msgspec.Struct, frozen=True):
    """`echo`: settings that the response repeats. `namespaces`: namespace and name, by a tool's flat name.

    `record`: what is kept of the call once it is answered; None: nothing.
    """

    request: ChatRequest
    steering: Steering
    reasoning: options.Reasoning
    echo: dict[str, Any]
    namespaces: dict[str, tuple[str, str]]
    record: Record | None = None


_Refused = Annotated[Any, Meta(description="Refused: not stored here.")]


class Responses(msgspec.Struct, frozen=True):
    """OpenAI's `responses.create`. null means absent; other parameters are left aside."""

    input: Annotated[
        Any,
        read_by(
            responses_parse.items,
            {"oneOf": [{"type": "string"}, OBJECTS | {"maxItems": responses_parse.MAX_ITEMS}]},
        ),
    ]
    model: ModelOrRouter
    instructions: str | None = None
    max_output_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    tools: Annotated[Any, read_by(options.tools, OBJECTS | {"maxItems": MAX_TOOLS})] = None
    tool_choice: Annotated[Any, read_by(options.tool_choice, text_or_object("auto", "none", "required"))] = (
        None
    )
    parallel_tool_calls: bool | None = None
    text: Annotated[Any, read_by(options.text_settings, OBJECT)] = None
    reasoning: Annotated[Any, read_by(options.reasoning, OBJECT)] = None
    include: Annotated[Any, read_by(options.include, {"type": "array", "items": {"type": "string"}})] = None
    metadata: Pairs | None = None
    user: UserName | None = None
    service_tier: ServiceTier | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    store: (
        Annotated[
            bool,
            Meta(description="Unless false, the items can be referred to for a while."),
        ]
        | None
    ) = None
    truncation: (
        Annotated[
            Literal["disabled", "auto"],
            Meta(description="auto is ignored: input that fits no model is refused, never cut."),
        ]
        | None
    ) = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MAX_LOGPROBS)] | None = None
    max_tool_calls: Annotated[Tokens, Meta(description="Ignored: it limits hosted tools.")] | None = None
    previous_response_id: (
        Annotated[str, Meta(description="A response that is still kept; the input continues it.")] | None
    ) = None
    conversation: _Refused = None
    prompt: _Refused = None
    background: _Refused = None
    prompt_cache_key: Annotated[str, Meta(max_length=MAX_USER)] | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: ServiceTier | None = None
    safety_identifier: UserName | None = None
    cache_control: Annotated[Any, read_by(mark_at, OBJECT)] = None


def parse(raw: dict[str, Any], headers: Mapping[str, str]) -> ResponsesCall:
    """Parse a body and the steering headers.

    Raises UnsupportedParameter, ValidationError, InvalidModel or EmptyMessages.
    """
    _refuse_state(raw)
    sent = fields.convert(raw, Responses)
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    errors = FieldErrors()
    _ignore_unknown(raw, errors)
    tools, namespaces = _tools(sent, errors)
    choice = options.tool_choice(sent.tool_choice, errors)
    options.check_tool_choice(choice, tools, errors)
    text, reasoning = options.text_settings(sent.text, errors), options.reasoning(sent.reasoning, errors)
    included = options.include(sent.include, errors)
    mark = mark_at(sent.cache_control, errors, "cache_control")
    messages = marked_at_end(responses_parse.items(sent.input, errors), mark)
    system = (Message(Role.SYSTEM, (Text(sent.instructions),)),) if sent.instructions else ()
    request = ChatRequest(
        messages=(*system, *messages),
        max_output_tokens=sent.max_output_tokens,
        sampling=Sampling(
            temperature=sent.temperature,
            top_p=sent.top_p,
            presence_penalty=sent.presence_penalty,
            frequency_penalty=sent.frequency_penalty,
        ),
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
        ignored=(*_unheeded(raw), *errors.ignored),
    )
    if errors.details:
        raise errors.error()
    if are_blank(messages):
        raise EmptyMessages("The input is empty. Send at least one item with content.", param="input")
    return ResponsesCall(request, chosen, reasoning, _echo(sent, request), namespaces)


def _tools(sent: Responses, errors: FieldErrors) -> tuple[tuple[Tool, ...], dict[str, tuple[str, str]]]:
    """The callable tools, of equal names the last, and the namespaces they are from."""
    lists = [("tools", sent.tools), *options.additional(sent.input)]
    has_own = any(options.has_own(raw) for _, raw in lists)
    parsed = [options.tools(raw, errors, path, beside_own=has_own) for path, raw in lists]
    tools = {tool.name: tool for group in parsed for tool in group}
    if len(tools) > MAX_TOOLS:
        errors.add("tools", f"At most {MAX_TOOLS} tools are possible, with those of namespaces and items.")
    if errors.details:
        return (), {}
    return tuple(tools.values()), {
        name: place for _, raw in lists for name, place in options.namespaces(raw).items()
    }


def _ignore_unknown(raw: dict[str, Any], errors: FieldErrors) -> None:
    """Ignore unknown parameters, which agents send; refuse those of chat completions and name their path."""
    known = frozenset(Responses.__struct_fields__)
    for name in raw.keys() - known:
        if name in CHAT_PARAMETERS:
            errors.add(name, "Is a parameter of /v1/chat/completions, not of this path.")
    errors.ignore_unknown(raw, known, "")


_NOTHING = (None, False, "disabled")


def _unheeded(raw: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in _UNHEEDED if raw.get(name) not in _NOTHING)
    if raw.get("store") and settings.KEEP_RESPONSES_S == 0:
        yield "store"


def _refuse_state(raw: dict[str, Any]) -> None:
    for name in _STATEFUL:
        if raw.get(name) not in (None, False):
            raise UnsupportedParameter(
                f"{name} is not possible here. Send the conversation as input, or name the response that it "
                "continues in previous_response_id, and wait for the answer.",
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
        "presence_penalty": sent.presence_penalty or 0.0,
        "frequency_penalty": sent.frequency_penalty or 0.0,
        "previous_response_id": sent.previous_response_id or None,
        "prompt_cache_key": sent.prompt_cache_key,
        "safety_identifier": sent.safety_identifier,
        "temperature": 1.0 if sent.temperature is None else sent.temperature,
        "text": {
            "format": text.get("format") or {"type": "text"},
            "verbosity": request.verbosity or "medium",
        },
        "tool_choice": sent.tool_choice or "auto",
        "tools": [_tool(tool) for tool in sent.tools or ()],
        "top_logprobs": sent.top_logprobs or 0,
        "top_p": 1.0 if sent.top_p is None else sent.top_p,
        "truncation": "disabled",
    }


def _tool(raw: dict[str, Any]) -> dict[str, Any]:
    """A tool of the request with the fields that clients expect in a response."""
    if raw.get("type") != "function":
        return raw
    return {
        "description": None,
        **raw,
        "parameters": raw.get("parameters"),
        "strict": bool(raw.get("strict")),
    }
