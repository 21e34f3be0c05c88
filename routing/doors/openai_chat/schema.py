"""The body of `POST /v1/chat/completions`, as OpenAI's clients send it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from routing.doors.shared import fields
from routing.doors.shared import openai_messages as parse
from routing.doors.shared import openai_tools as parse_tools
from routing.doors.shared.fields import StrictSerializer, optional
from routing.doors.shared.steering import steering
from routing.doors.shared.wire_types import (
    INT64,
    MAX_NAME,
    MAX_TOKENS,
    MAX_USER,
    FunctionCallField,
    FunctionsField,
    MessagesField,
    ModelName,
    Pairs,
    Penalty,
    ResponseFormatField,
    Seed,
    Share,
    StopField,
    Temperature,
    Tokens,
    ToolChoiceField,
    ToolsField,
    UserName,
)
from routing.language.arms import Effort
from routing.language.chat import ChatRequest, Sampling, Steering, Tool, ToolChoice
from routing.language.errors import EmptyMessages, UnsupportedParameter

MAX_CHOICES = 128
MAX_TIER = 32  # characters of a service tier
MAX_UNKNOWN, MAX_UNKNOWN_NAME = 50, 100  # parameters that are passed on: each is in the receipt, and kept
Count = Annotated[int, Meta(ge=1, le=MAX_CHOICES)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class OpenAIAsk(msgspec.Struct, frozen=True):
    """`speaks_functions`: the caller knows the older form of tools, `functions`, and no other."""

    request: ChatRequest
    steering: Steering
    include_usage: bool
    speaks_functions: bool


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class OpenAIChat(msgspec.Struct, frozen=True):
    """The parameters we know; the others go along as `extra`. `Any`: read by the neutral parser."""

    messages: list[Any]
    model: ModelName
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Tokens | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Seed | None = None
    logit_bias: dict[str, Bias] | None = None
    stop: Any = None
    n: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    user: UserName | None = None
    safety_identifier: UserName | None = None
    metadata: Pairs | None = None
    service_tier: Annotated[str, Meta(max_length=MAX_TIER)] | None = None


_KNOWN = frozenset(OpenAIChat.__struct_fields__)
# Nothing is stored here that could be fetched later, and nothing shall be elsewhere
_STORED = ("store", "previous_response_id", "conversation", "prompt", "background")
_SPOKEN = ("modalities", "audio")
_SEARCH = "web_search_options"


class StreamOptionsSerializer(StrictSerializer):
    include_usage = optional(fields.StrictFlag)


class OpenAIChatSerializer(StrictSerializer):
    messages = MessagesField()
    model = fields.StrictText(
        max_length=MAX_NAME,
        help_text="A catalog id or alias, or routeplex-ai (routeplex-ai:cost, …) for Smart Routing.",
    )
    max_tokens = optional(fields.StrictInteger, min_value=1, max_value=MAX_TOKENS)
    max_completion_tokens = optional(fields.StrictInteger, min_value=1, max_value=MAX_TOKENS)
    temperature = optional(fields.StrictNumber, min_value=0, max_value=2)
    top_p = optional(fields.StrictNumber, min_value=0, max_value=1)
    top_k = optional(fields.StrictInteger, min_value=1, max_value=MAX_TOKENS)
    presence_penalty = optional(fields.StrictNumber, min_value=-2, max_value=2)
    frequency_penalty = optional(fields.StrictNumber, min_value=-2, max_value=2)
    seed = optional(fields.StrictInteger, min_value=-INT64, max_value=INT64 - 1)
    logit_bias = optional(fields.StrictDict, child=fields.StrictNumber(min_value=-100, max_value=100))
    stop = StopField(required=False, allow_null=True)
    n = optional(fields.StrictInteger, min_value=1, max_value=MAX_CHOICES)
    logprobs = optional(fields.StrictFlag)
    top_logprobs = optional(fields.StrictInteger, min_value=0, max_value=20)
    stream = optional(fields.StrictFlag)
    stream_options = optional(StreamOptionsSerializer)
    tools = ToolsField(required=False, allow_null=True)
    tool_choice = ToolChoiceField(required=False, allow_null=True)
    functions = FunctionsField(required=False, allow_null=True)
    function_call = FunctionCallField(required=False, allow_null=True)
    parallel_tool_calls = optional(fields.StrictFlag)
    response_format = ResponseFormatField(required=False, allow_null=True)
    reasoning_effort = optional(fields.StrictChoice, choices=[str(one) for one in Effort])
    verbosity = optional(fields.StrictChoice, choices=["low", "medium", "high"])
    user = optional(fields.StrictText, max_length=MAX_USER)
    safety_identifier = optional(fields.StrictText, max_length=MAX_USER)
    metadata = optional(fields.Metadata)
    service_tier = optional(fields.StrictText, max_length=MAX_TIER)


def read(raw: dict[str, Any], headers: Mapping[str, str]) -> OpenAIAsk:
    """What is asked, by body and headers.

    Raises UnsupportedParameter, ValidationError, InvalidModel or EmptyMessages.
    """
    _refuse(raw)
    try:
        sent = msgspec.convert(raw, OpenAIChat)
    except msgspec.ValidationError:
        raise fields.refusal(OpenAIChatSerializer, raw) from None
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    options = sent.stream_options
    return OpenAIAsk(
        request=_request(sent, raw),
        steering=chosen,
        include_usage=options is not None and bool(options.include_usage),
        speaks_functions=bool(sent.functions),
    )


def _refuse(raw: dict[str, Any]) -> None:
    """What would change the answer's meaning and no model here does."""
    wanted = raw.get("modalities")
    if raw.get("audio") is not None or (isinstance(wanted, list) and "audio" in wanted):
        raise UnsupportedParameter(
            "Answers are text here: audio is taken as input only. Leave out audio, and modalities but "
            '["text"].',
            param="modalities" if wanted else "audio",
        )
    if raw.get(_SEARCH) is not None:
        raise UnsupportedParameter(
            f"No model searches the web here. Leave out {_SEARCH}, and offer a tool of your own that does.",
            param=_SEARCH,
        )


def _request(sent: OpenAIChat, raw: dict[str, Any]) -> ChatRequest:
    errors = parse.FieldErrors()
    tools, choice = _tools(sent, errors)
    aside = (*_SPOKEN, _SEARCH, *_STORED)
    extra = {name: value for name, value in raw.items() if name not in _KNOWN and name not in aside}
    if len(extra) > MAX_UNKNOWN or any(len(name) > MAX_UNKNOWN_NAME for name in extra):
        told = f"At most {MAX_UNKNOWN} unknown parameters of {MAX_UNKNOWN_NAME} characters are passed on."
        errors.add(max(extra, key=len)[:MAX_UNKNOWN_NAME], told)
    if sent.top_logprobs and not sent.logprobs:
        errors.add("top_logprobs", "Needs logprobs to be true.")
    request = ChatRequest(
        messages=parse.messages(sent.messages, errors),
        max_output_tokens=sent.max_completion_tokens or sent.max_tokens,
        sampling=Sampling(
            temperature=sent.temperature,
            top_p=sent.top_p,
            top_k=sent.top_k,
            presence_penalty=sent.presence_penalty,
            frequency_penalty=sent.frequency_penalty,
            seed=sent.seed,
            logit_bias=sent.logit_bias,
        ),
        stop=parse_tools.stop(sent.stop, errors),
        n=sent.n or 1,
        logprobs=bool(sent.logprobs),
        top_logprobs=sent.top_logprobs,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if sent.functions else sent.parallel_tool_calls,
        response_format=parse_tools.response_format(sent.response_format, errors),
        effort=sent.reasoning_effort,
        verbosity=sent.verbosity,
        user=sent.user,
        safety_identifier=sent.safety_identifier,
        metadata=sent.metadata,
        service_tier=sent.service_tier,
        extra=extra,
    )
    unheeded = (*(name for name in _STORED if raw.get(name)), *errors.ignored)
    if unheeded:
        request = msgspec.structs.replace(request, unheeded=unheeded)
    if errors.details:
        raise errors.error()
    if parse.are_blank(request.messages):
        raise EmptyMessages("The messages are empty. Send at least one with content.", param="messages")
    return request


def _tools(sent: OpenAIChat, errors: parse.FieldErrors) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """Tools, or the older functions: not both."""
    if sent.functions is None and sent.function_call is None:
        tools, choice = (
            parse_tools.tools(sent.tools, errors),
            parse_tools.tool_choice(sent.tool_choice, errors),
        )
    else:
        tools = () if sent.functions is None else parse_tools.functions(sent.functions, errors)
        choice = parse_tools.function_call(sent.function_call, errors)
        if sent.tools or sent.tool_choice is not None:
            errors.add("functions", "Must not stand beside tools or tool_choice. Use tools alone.")
    parse_tools.check_tool_choice(choice, tools, errors)
    return tools, choice
