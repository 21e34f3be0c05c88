"""OpenAI Responses API: answers, streamed and whole."""

from collections.abc import Iterator
from typing import Any

import msgspec

from billing.usage import Usage
from routing.language.chat import (
    FinishReason,
    Opaque,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from routing.language.reported import identifier
from routing.providers.openai.common import ServedTier
from routing.providers.openai.errors import classify
from routing.providers.openai.usage import usage_of
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.wire import (
    CallContext,
    PartIndex,
    SseStream,
    decoded,
    finished,
    named,
    unknown_end,
)
from routing.providers.transport.sse import Event


class _Content(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None  # of a custom tool's call
    content: list[_Content] | None = None
    summary: list[_Content] | None = None
    encrypted_content: str | None = None

    @property
    def is_call(self) -> bool:
        return self.type in ("function_call", "custom_tool_call")

    @property
    def is_custom(self) -> bool:
        return self.type == "custom_tool_call"

    @property
    def written(self) -> str:
        """The arguments or the free text of the call."""
        return (self.input if self.is_custom else self.arguments) or ""


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    service_tier: str | None = None
    output: list[_Item] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"")
    incomplete_details: _Incomplete | None = None
    error: dict[str, Any] | None = None


class _Frame(msgspec.Struct):
    type: str = ""
    response: _Response | None = None
    item: _Item | None = None
    item_id: str | None = None
    output_index: PartIndex = 0
    delta: str | None = None
    error: Any = None


_frame = msgspec.json.Decoder(_Frame)
_response = msgspec.json.Decoder(_Response)


class Stream(SseStream):
    """Named events from `response.created` to `response.completed`, `incomplete` or `failed`."""

    def __init__(self, context: CallContext) -> None:
        super().__init__(context)
        self._answer = _Answer(context)
        self._calls: dict[int, int] = {}  # output index → index among the calls
        self._in_deltas: set[int] = set()  # output indexes whose content came in deltas
        self._has_text = False

    def frame(self, event: Event) -> Iterator[StreamEvent]:
        frame = _frame.decode(event.data)
        if frame.response is not None:
            yield from self._answer.start(frame.response)
        match frame.type:
            case "response.output_text.delta":
                self._in_deltas.add(frame.output_index)
                if frame.delta:
                    self._has_text = True
                    yield TextDelta(frame.delta)
            case "response.refusal.delta":
                self._in_deltas.add(frame.output_index)
                if frame.delta:
                    self._has_text = True
                    yield RefusalDelta(frame.delta)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._in_deltas.add(frame.output_index)
                if frame.delta:
                    yield ReasoningDelta(frame.delta)
            case "response.output_item.added" if frame.item and frame.item.is_call and frame.item.name:
                yield self._opened(frame.output_index, frame.item)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" if (
                frame.output_index in self._calls
            ):
                self._in_deltas.add(frame.output_index)
                if frame.delta:
                    yield ToolCallDelta(self._calls[frame.output_index], arguments=frame.delta)
            case "response.output_item.done" if frame.item:
                yield from self._closed(frame.output_index, frame.item)
            case "response.completed" | "response.incomplete" if frame.response:
                self._answer.finish(frame.response, has_content=self._has_text or self._answer.calls > 0)
                self.complete = self.done = True
            case "response.failed" | "error":
                raise _failure(frame, event.data)

    def closing(self) -> Iterator[StreamEvent]:
        yield from self._answer.closing()

    def _opened(self, output_index: int, item: _Item) -> ToolCallDelta:
        self._calls[output_index] = self._answer.calls
        self._answer.calls += 1
        return ToolCallDelta(
            self._calls[output_index], item.call_id, named(item.name), is_custom=item.is_custom
        )

    def _closed(self, output_index: int, item: _Item) -> Iterator[StreamEvent]:
        """The content of the finished item that did not come in deltas."""
        if item.is_call:
            if output_index not in self._calls:
                yield self._opened(output_index, item)
            if output_index not in self._in_deltas and item.written:
                yield ToolCallDelta(self._calls[output_index], arguments=item.written)
        elif item.type == "reasoning":
            if item.encrypted_content:
                yield ReasoningDelta(carried=_replay(item, self.context.provider))
        elif output_index not in self._in_deltas:
            self._has_text = self._has_text or bool(item.content)
            yield from _message_content(item)


def whole(body: bytes, context: CallContext) -> Iterator[StreamEvent]:
    """The events of an unstreamed answer. Raises UpstreamFailure: error in a 200, or malformed."""
    response = decoded(body, _response)
    if response.error:
        raise classify(200, {}, body)
    if response.status not in ("completed", "incomplete"):
        raise UpstreamFailure(FailureKind.MALFORMED, f"the answer's status is {response.status!r}")
    answer = _Answer(context)
    yield from answer.start(response)
    for item in response.output or ():
        match item.type:
            case "reasoning":
                for summary in item.summary or ():
                    yield ReasoningDelta(summary.text or "")
                if item.encrypted_content:
                    yield ReasoningDelta(carried=_replay(item, context.provider))
            case "function_call" | "custom_tool_call":
                yield ToolCallDelta(
                    answer.calls, item.call_id, named(item.name), item.written, is_custom=item.is_custom
                )
                answer.calls += 1
            case "message":
                yield from _message_content(item)
    answer.finish(response, has_content=any(item.type != "reasoning" for item in response.output or ()))
    yield from answer.closing()


class _Answer:
    """The start, usage and finish reason of an answer, streamed or whole."""

    def __init__(self, context: CallContext) -> None:
        self.calls = 0
        self._context = context
        self._started = False
        self._tier = ServedTier(context.service_tier)
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None

    def start(self, response: _Response) -> Iterator[StreamEvent]:
        if not self._started:
            self._started = True
            yield Started(identifier(response.model) or self._context.model, identifier(response.id) or None)
        yield from self._tier.read(response.service_tier)
        if (usage := usage_of(response.usage)) is not None:
            self._usage = usage

    def finish(self, response: _Response, *, has_content: bool) -> None:
        why = response.incomplete_details.reason if response.incomplete_details else None
        if response.status == "incomplete" and why == "max_output_tokens":
            self._reason = FinishReason.LENGTH
        elif response.status == "incomplete" and why == "content_filter":
            self._reason = FinishReason.CONTENT_FILTER
        elif response.status == "incomplete":
            unknown_end(f"incomplete: {why}", has_content=has_content)
            self._reason = FinishReason.LENGTH
        else:
            self._reason = FinishReason.TOOL_CALLS if self.calls else FinishReason.STOP

    def closing(self) -> Iterator[StreamEvent]:
        if self._usage is not None:
            yield UsageReport(self._usage)
        if self._reason is not None:
            yield from finished({0: self._reason})


def _message_content(item: _Item) -> Iterator[StreamEvent]:
    for content in item.content or ():
        if content.type == "output_text" and content.text:
            yield TextDelta(content.text)
        elif content.type == "refusal" and content.refusal:
            yield RefusalDelta(content.refusal)


def _replay(item: _Item, provider: str) -> Opaque:
    summary = [{"type": "summary_text", "text": each.text or ""} for each in item.summary or ()]
    data = {
        "type": "reasoning",
        "id": item.id,
        "summary": summary,
        "encrypted_content": item.encrypted_content,
    }
    return Opaque(provider, data)


def _failure(frame: _Frame, data: bytes) -> UpstreamFailure:
    if frame.response is not None and frame.response.error:
        data = msgspec.json.encode({"error": frame.response.error})
    return classify(200, {}, data)
