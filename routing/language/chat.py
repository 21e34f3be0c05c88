"""The neutral language of a chat: doors parse into it, the pipeline passes it along, adapters translate it.

Plain frozen values without Django. Close to OpenAI's chat format, because most callers use that, but with one
form for each meaning. Adapters must not leak their wire format into it: data that only one provider
understands travels as `Opaque` and goes back to that provider alone.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Literal

import msgspec

from billing.usage import Usage
from routing.language.arms import Effort
from routing.language.fidelity import Receipt


class Role(StrEnum):
    SYSTEM = "system"  # developer messages too
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class CacheMark(msgspec.Struct, frozen=True):
    """The caller wants the prefix up to here cached.

    `ttl`: "5m", "1h", "30m" or "12h"; None: the provider's default lifetime.
    """

    ttl: str | None = "5m"


class Text(msgspec.Struct, frozen=True, tag="text"):
    text: str
    cache: CacheMark | None = None


class Image(msgspec.Struct, frozen=True, tag="image"):
    """`url` is http(s) or a data: URL."""

    url: str
    detail: str | None = None
    cache: CacheMark | None = None


class File(msgspec.Struct, frozen=True, tag="file"):
    """A document, as a data: URL or http(s) URL; PDF unless its media type says otherwise."""

    url: str
    filename: str | None = None
    cache: CacheMark | None = None


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """`data` is base64, `format` "wav" or "mp3"."""

    data: str
    format: str


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    text: str


class Opaque(msgspec.Struct, frozen=True, tag="opaque"):
    """Data that goes back to its provider unchanged: a thinking block, an encrypted reasoning item.

    `lasting`: the provider wants it in every later turn, not only until its tool loop is closed.
    """

    provider: str
    data: Any
    lasting: bool = False


Part = Text | Image | File | Audio | Refusal | Opaque
_MARKABLE = (Text, Image, File)


class ToolCall(msgspec.Struct, frozen=True):
    """`arguments` is JSON text as the model wrote it, or the free text that a custom tool takes.

    `signature` goes back to the provider that it names.
    """

    id: str
    name: str
    arguments: str
    signature: Opaque | None = None
    is_custom: bool = False


class Message(msgspec.Struct, frozen=True):
    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()  # assistant only
    tool_call_id: str | None = None  # tool only
    name: str | None = None
    is_error: bool = False  # tool only: the tool failed
    reasoning: str | None = None  # assistant only: plain reasoning that the caller sent back

    @property
    def text(self) -> str:
        if len(self.parts) == 1 and isinstance(only := self.parts[0], Text):
            return only.text
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Grammar(msgspec.Struct, frozen=True):
    """A grammar that the input of a custom tool must match."""

    syntax: Literal["lark", "regex"]
    definition: str


class Tool(msgspec.Struct, frozen=True):
    """A function, or a custom tool: one that takes free text, within `grammar` where it has one."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] = {}  # JSON Schema; of functions only
    strict: bool | None = None
    cache: CacheMark | None = None
    is_custom: bool = False
    grammar: Grammar | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """`name` only with mode "named"; `allowed`, with "auto" and "required": the tools that may be called."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None
    allowed: tuple[str, ...] = ()


class ResponseFormat(msgspec.Struct, frozen=True):
    """The format of the answer's text. `schema` only with kind "json_schema"."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Sampling(msgspec.Struct, frozen=True):
    """None means: the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None


class Beta(msgspec.Struct, frozen=True):
    """Features of Anthropic's API in beta: the values of its header, and the fields they bring, by path."""

    names: tuple[str, ...] = ()
    fields: dict[str, Any] = {}


class ChatRequest(msgspec.Struct, frozen=True):
    """One request, as the caller meant it, before any model is chosen."""

    messages: tuple[Message, ...]
    max_output_tokens: int | None = None  # reasoning included; None: the model's own limit
    max_answer_tokens: int | None = None  # of the visible answer alone; each arm may think beyond it
    has_default_limit: bool = False  # the door set the limit: no parameter of the caller's
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    effort: Effort | None = None  # pinned by the caller; None: the router chooses
    thinking_budget: int | None = None  # tokens; the caller stated its effort as a budget
    verbosity: str | None = None
    user: str | None = None
    safety_identifier: str | None = None  # the newer name of `user`; takes precedence
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    extra: dict[str, Any] = {}  # parameters without a neutral form, which only some APIs take
    beta: Beta = Beta()
    continues: bool = False  # Smart Routing knows the turn before: another one is likely within minutes
    named_model: str | None = None  # catalog id of manual mode's model
    ignored: tuple[str, ...] = ()  # parameters that are accepted and passed to no provider


def caller_limit(request: ChatRequest) -> int | None:
    """The caller's own output limit in tokens, whichever of the two meanings it has; None: no limit."""
    return request.max_output_tokens if request.max_answer_tokens is None else request.max_answer_tokens


def marked_at_end(messages: tuple[Message, ...], mark: CacheMark | None) -> tuple[Message, ...]:
    """Set the cache mark on the last part that can have one, unless it has its own."""
    if mark is None:
        return messages
    for place, message in reversed(list(enumerate(messages))):
        for position, part in reversed(list(enumerate(message.parts))):
            is_blank = isinstance(part, Text) and not part.text.strip()
            if not isinstance(part, Text | Image | File) or is_blank:
                continue
            if part.cache is not None:
                return messages
            parts = (
                *message.parts[:position],
                msgspec.structs.replace(part, cache=mark),
                *message.parts[position + 1 :],
            )
            changed = msgspec.structs.replace(message, parts=parts)
            return (*messages[:place], changed, *messages[place + 1 :])
    return messages


def is_plain(request: ChatRequest) -> bool:
    """Return whether the request is nothing but text: no tools, no media, nothing that providers returned."""
    if request.tools or request.tool_choice is not None:
        return False
    for message in request.messages:
        if message.tool_calls or message.role is Role.TOOL:
            return False
        for part in message.parts:
            if type(part) is not Text:
                return False
    return True


def cache_marks(request: ChatRequest) -> Iterator[CacheMark]:
    """Yield the caller's cache marks, those of tools first."""
    for tool in request.tools:
        if tool.cache is not None:
            yield tool.cache
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, _MARKABLE) and part.cache is not None:
                yield part.cache


_PRICED_TIERS = {"flex": "flex", "priority": "priority", "fast": "priority"}


# Charged at the standard price; scale is paid for in advance
STANDARD_TIERS = frozenset({"auto", "default", "standard", "scale"})


def priced_tier(service_tier: str | None) -> str:
    """The service tier with a price of its own: flex or priority; empty: the standard one."""
    return "" if service_tier is None else _PRICED_TIERS.get(service_tier, "")


class Mode(StrEnum):
    SMART = "routeplex-ai"
    MANUAL = "manual"


class Strategy(StrEnum):
    AUTO = "auto"
    BALANCED = "balanced"
    COST = "cost"
    QUALITY = "quality"
    SPEED = "speed"


class Steering(msgspec.Struct, frozen=True):
    """The caller's routing options; None means the default of the key or the account."""

    mode: Mode = Mode.SMART
    model: str | None = None  # manual mode: as the caller wrote it
    strategy: Strategy | None = None
    test_mode: bool = False  # only tier "default" models
    enhance_prompt: bool = False
    models: tuple[str, ...] = ()  # candidate pool; empty: all allowed
    fallback: bool | None = None
    rescue: bool | None = None  # continue a cut stream with the next arm
    max_cost_usd: float | None = None
    stream: bool = False


# The events of a completion in the order they arrive. `choice` counts the n choices from 0.


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The provider accepted the request. `model`: as it reports it; `response_id`: its id of the answer."""

    model: str
    response_id: str | None = None
    receipt: Receipt = ()  # how each of the request's parameters was treated


class Served(msgspec.Struct, frozen=True, tag="served"):
    """The service tier that the provider says it serves, where it is not the requested one."""

    service_tier: str


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    text: str
    choice: int = 0


class RefusalDelta(msgspec.Struct, frozen=True, tag="refusal"):
    text: str
    choice: int = 0


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning"):
    """A readable piece of reasoning (may be empty).

    `carried`, at the end of a block: the block as its provider expects it back in the next request.
    """

    text: str = ""
    carried: Opaque | None = None
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call"):
    """The first delta of a call has `id`, `name` and kind; later deltas only more `arguments`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: Opaque | None = None
    choice: int = 0
    is_custom: bool = False


class LogprobsDelta(msgspec.Struct, frozen=True, tag="logprobs"):
    content: tuple[dict[str, Any], ...]
    choice: int = 0


class UsageReport(msgspec.Struct, frozen=True, tag="usage"):
    """The usage so far; it replaces any earlier report. `calls`: the number of upstream calls it sums."""

    usage: Usage
    calls: int = 1


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """`stop`: the stop sequence that ended the choice, if known."""

    reason: FinishReason
    choice: int = 0
    stop: str | None = None


StreamEvent = (
    Started
    | Served
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ToolCallDelta
    | LogprobsDelta
    | UsageReport
    | Finished
)

CONTENT_EVENTS = (TextDelta, RefusalDelta, ToolCallDelta, ReasoningDelta)


class Choice(msgspec.Struct, frozen=True):
    text: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    reasoning: str = ""
    carried: tuple[Opaque, ...] = ()
    logprobs: tuple[dict[str, Any], ...] | None = None


class ChatResult(msgspec.Struct, frozen=True):
    """A whole completion: the stream, collected. `usage` None: the provider reported none."""

    choices: tuple[Choice, ...]
    usage: Usage | None
    served_model: str
    response_id: str | None = None


class _ChoiceParts:
    """The pieces of one choice while they arrive."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.carried: list[Opaque] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: list[dict[str, Any]] = []
        self.finish: FinishReason | None = None

    def add_call(self, delta: ToolCallDelta) -> None:
        blank: dict[str, Any] = {"id": "", "name": "", "arguments": [], "signature": None, "is_custom": False}
        call = self.calls.setdefault(delta.index, blank)
        call["id"] = delta.id or call["id"]
        call["is_custom"] = delta.is_custom or call["is_custom"]
        call["name"] = delta.name or call["name"]
        call["signature"] = delta.signature or call["signature"]
        call["arguments"].append(delta.arguments)

    def choice(self) -> Choice:
        calls = tuple(
            ToolCall(
                call["id"], call["name"], "".join(call["arguments"]), call["signature"], call["is_custom"]
            )
            for _, call in sorted(self.calls.items())
        )
        return Choice(
            text="".join(self.text),
            finish_reason=self.finish or FinishReason.STOP,
            tool_calls=calls,
            refusal="".join(self.refusal) or None,
            reasoning="".join(self.reasoning),
            carried=tuple(self.carried),
            logprobs=tuple(self.logprobs) or None,
        )


class Collector:
    """Adds up stream events into a ChatResult; `add` each event, then take `result()`."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceParts] = {}
        self._usage: Usage | None = None
        self._model = ""
        self._response_id: str | None = None

    def add(self, event: StreamEvent) -> None:
        if type(event) is TextDelta:  # nearly all events of a stream
            self._of(event.choice).text.append(event.text)
            return
        match event:
            case Started():
                self._model, self._response_id = event.model, event.response_id
            case UsageReport():
                self._usage = event.usage
            case RefusalDelta():
                self._of(event.choice).refusal.append(event.text)
            case ReasoningDelta():
                parts = self._of(event.choice)
                parts.reasoning.append(event.text)
                if event.carried is not None:
                    parts.carried.append(event.carried)
            case ToolCallDelta():
                self._of(event.choice).add_call(event)
            case LogprobsDelta():
                self._of(event.choice).logprobs.extend(event.content)
            case Finished():
                self._of(event.choice).finish = event.reason

    def result(self) -> ChatResult:
        choices = tuple(parts.choice() for _, parts in sorted(self._choices.items()))
        return ChatResult(choices, self._usage, self._model, self._response_id)

    def _of(self, choice: int) -> _ChoiceParts:
        return self._choices.setdefault(choice, _ChoiceParts())
