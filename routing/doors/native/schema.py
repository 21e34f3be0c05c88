"""The body of `POST /api/v1/chat`: the struct that takes it, the serializer that explains it."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from routing.doors.shared import fields
from routing.doors.shared import openai_messages as parse
from routing.doors.shared import openai_tools as parse_tools
from routing.doors.shared.fields import StrictSerializer, optional
from routing.doors.shared.wire_types import (
    INT64,
    MAX_NAME,
    MAX_TOKENS,
    MAX_USER,
    MessagesField,
    ModeField,
    ModelName,
    Pairs,
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
from routing.language.chat import ChatRequest, Mode, Sampling, Steering, Strategy
from routing.language.errors import EmptyMessages, InvalidMode, InvalidModel

DEFAULT_MAX_OUTPUT_TOKENS = 512
MAX_POOL = 100  # models named in one request


class StreamMode(StrEnum):
    BUFFERED = "buffered"
    REALTIME = "realtime"


class NativeAsk(msgspec.Struct, frozen=True):
    request: ChatRequest
    steering: Steering
    stream_mode: StreamMode


class NativeChat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As sent; spec/api.md has the table. `Any`: read by the neutral parser."""

    messages: list[Any]
    mode: Any = None
    model: ModelName | None = None
    strategy: Strategy | None = None
    max_output_tokens: Tokens | None = None
    temperature: Temperature | None = None
    stream: bool | None = None
    stream_mode: StreamMode | None = None
    enhance_prompt: bool | None = None
    test_mode: bool | None = None
    tools: Any = None
    tool_choice: Any = None
    response_format: Any = None
    stop: Any = None
    top_p: Share | None = None
    seed: Seed | None = None
    user: UserName | None = None
    metadata: Pairs | None = None
    models: Annotated[list[ModelName], Meta(min_length=1, max_length=MAX_POOL)] | None = None
    fallback: bool | None = None
    rescue: bool | None = None
    reasoning_effort: Effort | None = None
    max_cost_usd: Annotated[float, Meta(ge=0)] | None = None


class NativeChatSerializer(StrictSerializer):
    messages = MessagesField()
    mode = ModeField(required=False, allow_null=True)
    model = optional(fields.StrictText, max_length=MAX_NAME, help_text="Id or alias from the catalog.")
    strategy = optional(fields.StrictChoice, choices=[str(one) for one in Strategy])
    max_output_tokens = optional(
        fields.StrictInteger,
        min_value=1,
        max_value=MAX_TOKENS,
        help_text=f"Reasoning included; {DEFAULT_MAX_OUTPUT_TOKENS} unless given.",
    )
    temperature = optional(fields.StrictNumber, min_value=0, max_value=2)
    stream = optional(fields.StrictFlag)
    stream_mode = optional(fields.StrictChoice, choices=[str(one) for one in StreamMode])
    enhance_prompt = optional(fields.StrictFlag)
    test_mode = optional(fields.StrictFlag)
    tools = ToolsField(required=False, allow_null=True)
    tool_choice = ToolChoiceField(required=False, allow_null=True)
    response_format = ResponseFormatField(required=False, allow_null=True)
    stop = StopField(required=False, allow_null=True)
    top_p = optional(fields.StrictNumber, min_value=0, max_value=1)
    seed = optional(fields.StrictInteger, min_value=-INT64, max_value=INT64 - 1)
    user = optional(fields.StrictText, max_length=MAX_USER)
    metadata = optional(fields.Metadata)
    models = optional(
        fields.StrictList, child=fields.StrictText(max_length=MAX_NAME), min_length=1, max_length=MAX_POOL
    )
    fallback = optional(fields.StrictFlag)
    rescue = optional(fields.StrictFlag)
    reasoning_effort = optional(fields.StrictChoice, choices=[str(one) for one in Effort])
    max_cost_usd = optional(fields.StrictNumber, min_value=0)

    class Meta:
        closed = True


def read(raw: dict[str, Any]) -> NativeAsk:
    """What is asked. Raises ValidationError, InvalidMode, InvalidModel or EmptyMessages."""
    try:
        sent = msgspec.convert(raw, NativeChat)
    except msgspec.ValidationError:
        raise fields.refusal(NativeChatSerializer, raw) from None
    steering = _steering(sent)
    return NativeAsk(_request(sent), steering, sent.stream_mode or StreamMode.BUFFERED)


def _request(sent: NativeChat) -> ChatRequest:
    errors = parse.FieldErrors()
    tools = parse_tools.tools(sent.tools, errors)
    choice = parse_tools.tool_choice(sent.tool_choice, errors)
    parse_tools.check_tool_choice(choice, tools, errors)
    request = ChatRequest(
        messages=parse.messages(sent.messages, errors),
        max_output_tokens=sent.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS,
        sampling=Sampling(temperature=sent.temperature, top_p=sent.top_p, seed=sent.seed),
        stop=parse_tools.stop(sent.stop, errors),
        tools=tools,
        tool_choice=choice,
        response_format=parse_tools.response_format(sent.response_format, errors),
        effort=sent.reasoning_effort,
        user=sent.user,
        metadata=sent.metadata,
    )
    if errors.details:
        raise errors.error()
    if errors.ignored:
        request = msgspec.structs.replace(request, unheeded=tuple(errors.ignored))
    if parse.are_blank(request.messages):
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
