"""Anthropic Messages API: answers, streamed and whole."""

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from billing.usage import Usage, UsageIssue
from routing.language.chat import (
    FinishReason,
    Opaque,
    ReasoningDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from routing.language.reported import Counts, identifier
from routing.providers.anthropic.errors import classify
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

FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_FAILED = frozenset({"pause_turn"})  # it belongs to server tools, which are never sent


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


_NO_REPORT = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: msgspec.Raw = _NO_REPORT
    error: Any = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Frame(msgspec.Struct):
    type: str = ""
    index: PartIndex = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: msgspec.Raw = _NO_REPORT
    error: Any = None


_frame = msgspec.json.Decoder(_Frame)
_message = msgspec.json.Decoder(_Message)


class _OpenBlock:
    """A content block while it arrives."""

    def __init__(self, block: _Block, call: int | None) -> None:
        self.block = block
        self.call = call  # index among the tool calls; the API's index counts all blocks
        self.thinking: list[str] = []
        self.signature: list[str] = []
        self.spelled = False  # a delta of tool input came


class Stream(SseStream):
    """`message_start`, blocks with their deltas, `message_delta`, `message_stop`; pings between."""

    def __init__(self, context: CallContext) -> None:
        super().__init__(context)
        self._blocks: dict[int, _OpenBlock] = {}
        self._calls = 0
        self._has_content = False
        self._counts = _Counts()
        self._reason: FinishReason | None = None
        self._stop: str | None = None

    def frame(self, event: Event) -> Iterator[StreamEvent]:
        frame = _frame.decode(event.data)
        match frame.type:
            case "content_block_delta" if frame.delta:
                yield from self._delta(frame.index, frame.delta)
            case "message_start" if frame.message:
                yield _started(frame.message, self.context)
                if self._counts.add(frame.message.usage):
                    # The least that a cut stream costs: its input. The API states 1 output token here, which
                    # is a placeholder.
                    self._counts.drop_output()
                    yield UsageReport(self._counts.usage)
            case "content_block_start" if frame.content_block:
                yield from self._open(frame.index, frame.content_block)
            case "content_block_stop":
                yield from self._close(frame.index)
            case "message_delta":
                self._counts.add(frame.usage)
                if frame.delta and frame.delta.stop_reason:
                    self._reason = finish_reason(frame.delta.stop_reason, has_content=self._has_content)
                    self._stop = frame.delta.stop_sequence
                    self.complete = True
            case "message_stop":
                self.done = True
            case "error":
                raise classify(200, {}, event.data)

    def closing(self) -> Iterator[StreamEvent]:
        if self._counts.any:
            yield UsageReport(self._counts.usage)
        if self._reason is not None:
            yield from finished({0: self._reason}, self._stop)

    def _open(self, index: int, block: _Block) -> Iterator[StreamEvent]:
        self._has_content = self._has_content or block.type in ("text", "tool_use")
        call: int | None = None
        if block.type == "tool_use":
            call, self._calls = self._calls, self._calls + 1
            yield ToolCallDelta(call, block.id, named(block.name))
        self._blocks[index] = _OpenBlock(block, call)
        if block.text:
            yield TextDelta(block.text)
        if block.thinking:
            self._blocks[index].thinking.append(block.thinking)
            yield ReasoningDelta(block.thinking)

    def _delta(self, index: int, delta: _Delta) -> Iterator[StreamEvent]:
        if delta.text:
            yield TextDelta(delta.text)
            return
        block = self._blocks.get(index)
        if block is None:
            return
        if delta.partial_json and block.call is not None:
            block.spelled = True
            yield ToolCallDelta(block.call, arguments=delta.partial_json)
        if delta.thinking:
            block.thinking.append(delta.thinking)
            yield ReasoningDelta(delta.thinking)
        if delta.signature:
            block.signature.append(delta.signature)

    def _close(self, index: int) -> Iterator[StreamEvent]:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.call is not None and not block.spelled:
            yield ToolCallDelta(block.call, arguments=_arguments(block.block.input))
        block.block.thinking = "".join(block.thinking)
        block.block.signature = "".join(block.signature) or block.block.signature
        yield from _replay(block.block, self.context.provider)


def whole(body: bytes, context: CallContext) -> Iterator[StreamEvent]:
    """The events of an unstreamed answer. Raises UpstreamFailure: error in a 200, or malformed."""
    message = decoded(body, _message)
    if message.type == "error" or message.error:
        raise classify(200, {}, body)
    if message.content is None or not message.stop_reason:
        raise UpstreamFailure(FailureKind.MALFORMED, "the answer has no content or no stop reason")
    yield _started(message, context)
    calls = 0
    for block in message.content:
        if block.type == "text" and block.text:
            yield TextDelta(block.text)
        elif block.type == "tool_use":
            yield ToolCallDelta(calls, block.id, named(block.name), _arguments(block.input))
            calls += 1
        elif block.type == "thinking" and block.thinking:
            yield ReasoningDelta(block.thinking)
        yield from _replay(block, context.provider)
    counts = _Counts()
    if counts.add(message.usage):
        yield UsageReport(counts.usage)
    has_content = any(block.type in ("text", "tool_use") for block in message.content)
    reason = finish_reason(message.stop_reason, has_content=has_content)
    yield from finished({0: reason}, message.stop_sequence)


def _started(message: _Message, context: CallContext) -> Started:
    return Started(identifier(message.model) or context.model, identifier(message.id) or None)


def finish_reason(reason: str, *, has_content: bool) -> FinishReason:
    """Raises UpstreamFailure for a stop reason that does not end an answer."""
    known = FINISH.get(reason)
    if known is not None:
        return known
    return unknown_end(reason, has_content=has_content and reason not in _FAILED)


def _arguments(value: Any) -> str:
    return msgspec.json.encode(value if value is not None else {}).decode()


def _replay(block: _Block, provider: str) -> Iterator[StreamEvent]:
    """The blocks that the API expects back unchanged: signed thinking and redacted thinking."""
    if block.type == "thinking" and block.signature:
        data = {"type": "thinking", "thinking": block.thinking or "", "signature": block.signature}
        yield ReasoningDelta(carried=Opaque(provider, data))
    elif block.type == "redacted_thinking" and block.data:
        yield ReasoningDelta(carried=Opaque(provider, {"type": "redacted_thinking", "data": block.data}))


class _Counts:
    """Usage is cumulative and spread over frames: a later count replaces an earlier one."""

    _PATHS: ClassVar = {
        "input": "input_tokens",
        "output": "output_tokens",
        "read": "cache_read_input_tokens",
        "written": "cache_creation_input_tokens",
        "written_1h": "cache_creation.ephemeral_1h_input_tokens",
        "thinking": "output_tokens_details.thinking_tokens",
    }

    def __init__(self) -> None:
        self.any = False
        self._counts: dict[str, int] = {}
        self._issue: UsageIssue | None = None

    def add(self, report: msgspec.Raw) -> bool:
        reported = Counts(report)
        if not reported:
            return False
        self.any = True
        for name, path in self._PATHS.items():
            if (count := reported.read(path)) is not None:
                self._counts[name] = count
        self._issue = self._issue or reported.issue
        return True

    def drop_output(self) -> None:
        for name in ("output", "thinking"):
            self._counts.pop(name, None)

    @property
    def usage(self) -> Usage:
        """In this API cached tokens are counted beside the input, not within it."""
        count = self._counts.get
        written, output = count("written", 0), count("output", 0)
        hour, thinking = count("written_1h", 0), count("thinking", 0)
        adds_up = (hour <= written or "written" not in self._counts) and thinking <= output
        return Usage(
            uncached_input_tokens=count("input", 0),
            cache_read_tokens=count("read", 0),
            cache_write_tokens=max(0, written - hour),
            cache_write_1h_tokens=hour,
            output_tokens=output,
            reasoning_tokens=min(thinking, output),
            issue=self._issue or (None if adds_up else UsageIssue.INCONSISTENT),
        )
