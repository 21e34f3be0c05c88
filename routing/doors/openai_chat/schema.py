"""The body of `POST /v1/chat/completions`, as OpenAI's clients send it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from routing.doors.openai_chat import parse_effort
from routing.doors.shared import fields, openai_messages, openai_tools, wire_types
from routing.doors.shared.field_errors import FieldErrors
from routing.doors.shared.fields import read_by
from routing.doors.shared.steering import steering
from routing.doors.shared.wire_types import (
    OBJECT,
    ModelOrRouter,
    Pairs,
    Penalty,
    Seed,
    ServiceTier,
    Share,
    Temperature,
    Tokens,
    UserName,
)
from routing.language.arms import Effort
from routing.language.chat import ChatRequest, Sampling, Steering, Tool, ToolChoice, marked_at_end
from routing.language.errors import EmptyMessages, UnsupportedParameter

MAX_CHOICES = 128
MAX_UNKNOWN, MAX_UNKNOWN_NAME = 50, 100  # parameters that are passed on, each of them in the receipt
Count = Annotated[int, Meta(ge=1, le=MAX_CHOICES)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class ChatCall(msgspec.Struct, frozen=True):
    """`speaks_functions`: the client uses `functions`, the older form of tools, so the answer does too."""

    request: ChatRequest
    steering: Steering
    include_usage: bool
    speaks_functions: bool


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class OpenAIChat(msgspec.Struct, frozen=True):
    """OpenAI's `chat.completions.create`. null means absent; unknown ones reach a named OpenAI model."""

    messages: wire_types.Messages
    model: ModelOrRouter
    max_tokens: (
        Annotated[
            Tokens, Meta(description="Of the visible answer, unless the request says how much to reason.")
        ]
        | None
    ) = None
    max_completion_tokens: Annotated[Tokens, Meta(description="Reasoning included.")] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Tokens | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Seed | None = None
    logit_bias: dict[str, Bias] | None = None
    stop: wire_types.Stop = None
    n: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: wire_types.Tools = None
    tool_choice: wire_types.ToolChoice = None
    functions: wire_types.Functions = None
    function_call: wire_types.FunctionCall = None
    parallel_tool_calls: bool | None = None
    response_format: wire_types.ResponseFormat = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    user: UserName | None = None
    safety_identifier: UserName | None = None
    metadata: Pairs | None = None
    service_tier: ServiceTier | None = None
    cache_control: Annotated[Any, read_by(openai_messages.mark_at, OBJECT)] = None


_KNOWN = frozenset(OpenAIChat.__struct_fields__)
# Ignored, as the receipt reports: nothing is stored, here or at a provider
_STORED = ("store", "previous_response_id", "conversation", "prompt", "background")
# Parameters by which a caller says how much to reason; `max_tokens` beside them includes the reasoning
_REASONING = ("reasoning_effort", *parse_effort.OBJECTS)
_AUDIO = ("modalities", "audio")
_SEARCH = "web_search_options"


def parse(raw: dict[str, Any], headers: Mapping[str, str]) -> ChatCall:
    """Parse a body and the steering headers.

    Raises UnsupportedParameter, ValidationError, InvalidModel or EmptyMessages.
    """
    _refuse(raw)
    sent = fields.convert(raw, OpenAIChat)
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    options = sent.stream_options
    return ChatCall(
        request=_request(sent, raw),
        steering=chosen,
        include_usage=options is not None and bool(options.include_usage),
        speaks_functions=bool(sent.functions),
    )


def _refuse(raw: dict[str, Any]) -> None:
    """Refuse parameters that would change the meaning of the answer and that no model here supports."""
    wanted = raw.get("modalities")
    if raw.get("audio") is not None or (isinstance(wanted, list) and "audio" in wanted):
        raise UnsupportedParameter(
            'Answers are text only. Leave out audio, and send no modalities but ["text"].',
            param="modalities" if wanted else "audio",
        )
    if raw.get(_SEARCH) is not None:
        raise UnsupportedParameter(
            f"No model searches the web here. Leave out {_SEARCH}, and offer a search tool of your own.",
            param=_SEARCH,
        )


def _request(sent: OpenAIChat, raw: dict[str, Any]) -> ChatRequest:
    errors = FieldErrors()
    tools, choice = _tools(sent, errors)
    skipped = (*_AUDIO, _SEARCH, *_STORED, *parse_effort.OBJECTS)
    extra = {
        name: value
        for name, value in raw.items()
        if value is not None and name not in _KNOWN and name not in skipped
    }
    if len(extra) > MAX_UNKNOWN or any(len(name) > MAX_UNKNOWN_NAME for name in extra):
        fault = f"At most {MAX_UNKNOWN} unknown parameters of {MAX_UNKNOWN_NAME} characters are passed on."
        errors.add(max(extra, key=len)[:MAX_UNKNOWN_NAME], fault)
    if sent.top_logprobs and not sent.logprobs:
        errors.add("top_logprobs", "Needs logprobs to be true.")
    most, most_visible = _limits(sent, raw)
    reasoning = parse_effort.reasoning(sent.reasoning_effort, raw, errors)
    request = ChatRequest(
        messages=marked_at_end(
            openai_messages.messages(sent.messages, errors),
            openai_messages.mark_at(sent.cache_control, errors, "cache_control"),
        ),
        max_output_tokens=most,
        max_answer_tokens=most_visible,
        sampling=Sampling(
            temperature=sent.temperature,
            top_p=sent.top_p,
            top_k=sent.top_k,
            presence_penalty=sent.presence_penalty,
            frequency_penalty=sent.frequency_penalty,
            seed=sent.seed,
            logit_bias=sent.logit_bias,
        ),
        stop=openai_tools.stop(sent.stop, errors),
        n=sent.n or 1,
        logprobs=bool(sent.logprobs),
        top_logprobs=sent.top_logprobs,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if sent.functions else sent.parallel_tool_calls,
        response_format=openai_tools.response_format(sent.response_format, errors),
        effort=reasoning.effort,
        thinking_budget=reasoning.budget,
        verbosity=sent.verbosity,
        user=sent.user,
        safety_identifier=sent.safety_identifier,
        metadata=sent.metadata,
        service_tier=sent.service_tier,
        extra=extra,
    )
    ignored = (*(name for name in _STORED if raw.get(name)), *errors.ignored)
    if ignored:
        request = msgspec.structs.replace(request, ignored=ignored)
    if errors.details:
        raise errors.error()
    if openai_messages.are_blank(request.messages):
        raise EmptyMessages("The messages are empty. Send at least one with content.", param="messages")
    return request


def _limits(sent: OpenAIChat, raw: dict[str, Any]) -> tuple[int | None, int | None]:
    """The limits of the whole output and of the visible answer, in tokens; at most one of them is set."""
    if sent.max_completion_tokens is not None:
        return sent.max_completion_tokens, None
    if any(raw.get(name) is not None for name in _REASONING):
        return sent.max_tokens, None
    return None, sent.max_tokens


def _tools(sent: OpenAIChat, errors: FieldErrors) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Parse tools, or the older functions; both together are an error."""
    if sent.functions is None and sent.function_call is None:
        tools, choice = (
            openai_tools.tools(sent.tools, errors),
            openai_tools.tool_choice(sent.tool_choice, errors),
        )
    else:
        tools = () if sent.functions is None else openai_tools.functions(sent.functions, errors)
        choice = openai_tools.function_call(sent.function_call, errors)
        if sent.tools or sent.tool_choice is not None:
            errors.add("functions", "Cannot be combined with tools or tool_choice. Use tools alone.")
    openai_tools.check_tool_choice(choice, tools, errors)
    return tools, choice
