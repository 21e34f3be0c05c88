"""The body of `POST /v1/chat/completions`, as OpenAI's clients send it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from routing.arms import Effort
from routing.chat import ChatRequest, Sampling, Steering
from routing.doors import fields, parse, parse_tools
from routing.doors.fields import StrictSerializer, optional
from routing.doors.steering import steering
from routing.doors.wire_types import (
    INT64,
    MAX_NAME,
    MAX_TOKENS,
    MAX_USER,
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
from routing.errors import EmptyMessages

MAX_CHOICES = 128
MAX_TIER = 32  # characters of a service tier
Count = Annotated[int, Meta(ge=1, le=MAX_CHOICES)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class OpenAIAsk(msgspec.Struct, frozen=True):
    request: ChatRequest
    steering: Steering
    include_usage: bool


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
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    user: UserName | None = None
    metadata: Pairs | None = None
    service_tier: Annotated[str, Meta(max_length=MAX_TIER)] | None = None


_KNOWN = frozenset(OpenAIChat.__struct_fields__)


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
    parallel_tool_calls = optional(fields.StrictFlag)
    response_format = ResponseFormatField(required=False, allow_null=True)
    reasoning_effort = optional(fields.StrictChoice, choices=[str(one) for one in Effort])
    verbosity = optional(fields.StrictChoice, choices=["low", "medium", "high"])
    user = optional(fields.StrictText, max_length=MAX_USER)
    metadata = optional(fields.Metadata)
    service_tier = optional(fields.StrictText, max_length=MAX_TIER)


def read(raw: dict[str, Any], headers: Mapping[str, str]) -> OpenAIAsk:
    """What is asked, by body and headers. Raises ValidationError, InvalidModel or EmptyMessages."""
    try:
        sent = msgspec.convert(raw, OpenAIChat)
    except msgspec.ValidationError:
        raise fields.refusal(OpenAIChatSerializer, raw) from None
    chosen = steering(sent.model, headers, stream=bool(sent.stream))
    options = sent.stream_options
    return OpenAIAsk(
        request=_request(sent, {name: value for name, value in raw.items() if name not in _KNOWN}),
        steering=chosen,
        include_usage=options is not None and bool(options.include_usage),
    )


def _request(sent: OpenAIChat, extra: dict[str, Any]) -> ChatRequest:
    bad = parse.Findings()
    tools = parse_tools.tools(sent.tools, bad)
    choice = parse_tools.tool_choice(sent.tool_choice, bad)
    parse_tools.check_tool_choice(choice, tools, bad)
    if sent.top_logprobs and not sent.logprobs:
        bad.add("top_logprobs", "Needs logprobs to be true.")
    request = ChatRequest(
        messages=parse.messages(sent.messages, bad),
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
        stop=parse_tools.stop(sent.stop, bad),
        n=sent.n or 1,
        logprobs=bool(sent.logprobs),
        top_logprobs=sent.top_logprobs,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=sent.parallel_tool_calls,
        response_format=parse_tools.response_format(sent.response_format, bad),
        effort=sent.reasoning_effort,
        verbosity=sent.verbosity,
        user=sent.user,
        metadata=sent.metadata,
        service_tier=sent.service_tier,
        extra=extra,
    )
    if bad.found:
        raise bad.error()
    if parse.are_blank(request.messages):
        raise EmptyMessages("The messages are empty. Send at least one with content.", param="messages")
    return request
