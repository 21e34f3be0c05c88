"""The body of `POST /api/v1/chat`, which `/api/v1/route` takes too."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from routing.doors.shared import fields, openai_messages, openai_tools, wire_types
from routing.doors.shared.field_errors import FieldErrors
from routing.doors.shared.wire_types import ModelName, Pairs, Seed, Share, Temperature, Tokens, UserName
from routing.language.arms import Effort
from routing.language.chat import ChatRequest, Mode, Sampling, Steering, Strategy
from routing.language.errors import EmptyMessages, InvalidMode, InvalidModel

DEFAULT_MAX_OUTPUT_TOKENS = 4096  # of the visible answer
MAX_POOL = 100  # models named in one request


class StreamMode(StrEnum):
    BUFFERED = "buffered"
    REALTIME = "realtime"


class NativeCall(msgspec.Struct, frozen=True):
    request: ChatRequest
    steering: Steering
    stream_mode: StreamMode


class NativeChat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chat request in RoutePlex's own form. null means absent; unknown fields are refused."""

    messages: wire_types.Messages
    # Any value is taken here: a wrong mode has an error code of its own.
    mode: Annotated[Any, Meta(extra_json_schema={"type": "string", "enum": list(Mode)})] = None
    model: Annotated[ModelName, Meta(description="Id or alias from the catalog.")] | None = None
    strategy: Strategy | None = None
    max_output_tokens: (
        Annotated[
            Tokens,
            Meta(
                description=f"Of the visible answer; reasoning comes on top. {DEFAULT_MAX_OUTPUT_TOKENS} "
                "unless given."
            ),
        ]
        | None
    ) = None
    temperature: Temperature | None = None
    stream: bool | None = None
    stream_mode: StreamMode | None = None
    enhance_prompt: bool | None = None
    test_mode: bool | None = None
    tools: wire_types.Tools = None
    tool_choice: wire_types.ToolChoice = None
    response_format: wire_types.ResponseFormat = None
    stop: wire_types.Stop = None
    top_p: Share | None = None
    seed: Seed | None = None
    user: UserName | None = None
    metadata: Pairs | None = None
    models: (
        Annotated[
            list[ModelName],
            Meta(
                min_length=1,
                max_length=MAX_POOL,
                description="The candidates: ids, aliases or provider/*; a leading - excludes.",
            ),
        ]
        | None
    ) = None
    fallback: bool | None = None
    rescue: bool | None = None
    reasoning_effort: Effort | None = None
    max_cost_usd: Annotated[float, Meta(ge=0)] | None = None


def parse(raw: dict[str, Any]) -> NativeCall:
    """Parse a body. Raises ValidationError, InvalidMode, InvalidModel or EmptyMessages."""
    sent = fields.convert(raw, NativeChat)
    steering = _steering(sent)
    return NativeCall(_request(sent), steering, sent.stream_mode or StreamMode.BUFFERED)


def _request(sent: NativeChat) -> ChatRequest:
    errors = FieldErrors()
    tools = openai_tools.tools(sent.tools, errors)
    choice = openai_tools.tool_choice(sent.tool_choice, errors)
    openai_tools.check_tool_choice(choice, tools, errors)
    request = ChatRequest(
        messages=openai_messages.messages(sent.messages, errors),
        max_answer_tokens=sent.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS,
        has_default_limit=sent.max_output_tokens is None,
        sampling=Sampling(temperature=sent.temperature, top_p=sent.top_p, seed=sent.seed),
        stop=openai_tools.stop(sent.stop, errors),
        tools=tools,
        tool_choice=choice,
        response_format=openai_tools.response_format(sent.response_format, errors),
        effort=sent.reasoning_effort,
        user=sent.user,
        metadata=sent.metadata,
    )
    if errors.details:
        raise errors.error()
    if errors.ignored:
        request = msgspec.structs.replace(request, ignored=tuple(errors.ignored))
    if openai_messages.are_blank(request.messages):
        raise EmptyMessages("The messages are empty. Send at least one with content.", param="messages")
    return request


def _steering(sent: NativeChat) -> Steering:
    mode = _mode(sent)
    return Steering(
        mode=mode,
        model=sent.model if mode is Mode.MANUAL else None,
        strategy=sent.strategy,
        test_mode=bool(sent.test_mode),
        enhance_prompt=bool(sent.enhance_prompt),
        models=tuple(sent.models or ()),
        fallback=sent.fallback,
        rescue=sent.rescue,
        max_cost_usd=sent.max_cost_usd,
        stream=bool(sent.stream),
    )


def _mode(sent: NativeChat) -> Mode:
    if sent.mode is None:
        return Mode.MANUAL if sent.model else Mode.SMART
    if not isinstance(sent.mode, str) or sent.mode not in list(Mode):
        raise InvalidMode(
            f'mode must be "{Mode.SMART}" or "{Mode.MANUAL}".', param="mode", details={"modes": list(Mode)}
        )
    mode = Mode(sent.mode)
    if mode is Mode.MANUAL and not (sent.model or "").strip():
        raise InvalidModel("Manual mode needs a model. Name one of GET /api/v1/models.", param="model")
    return mode
