"""OpenAI Chat Completions: answers, streamed and whole, of OpenAI and of compatible servers."""

from collections.abc import Iterator
from typing import Any

import msgspec

from billing.usage import Usage
from routing.language.chat import (
    FinishReason,
    LogprobsDelta,
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
from routing.providers.openai.chat_calls import Fragment, ToolCalls
from routing.providers.openai.common import ServedTier
from routing.providers.openai.errors import classify
from routing.providers.openai.reasoning import REASONING_FIELDS
from routing.providers.openai.usage import usage_of
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.wire import (
    CallContext,
    ChoiceIndex,
    PartIndex,
    SseStream,
    decoded,
    finished,
    unknown_end,
)
from routing.providers.transport.sse import Event

FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    # Words of compatible servers
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "safety": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
}
# The server failed in the middle of the answer.
_FAILED = frozenset(
    {
        "error", "abort", "aborted", "cancelled", "canceled", "failed", "timeout", "network_error",
        "server_error", "insufficient_system_resource",
    }
)  # fmt: skip


# Fields that some compatible server leaves out or sends as null are optional here.


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # some compatible servers send the object


class _Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class _ToolCall(msgspec.Struct):
    index: PartIndex | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Words(msgspec.Struct):
    text: str | None = None


class _Part(msgspec.Struct):
    """A part of a content list; those with other fields are passed over."""

    text: str | None = None
    thinking: str | list[_Words] | None = None  # Mistral
    refusal: str | None = None


class _Delta(msgspec.Struct):
    content: str | list[str | _Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


_NO_REPORT = msgspec.Raw(b"")


class _Choice(msgspec.Struct):
    index: ChoiceIndex = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    usage: msgspec.Raw = _NO_REPORT  # Moonshot


class _Completion(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    service_tier: str | None = None
    usage: msgspec.Raw = _NO_REPORT
    timings: msgspec.Raw = _NO_REPORT  # llama.cpp
    error: Any = None


_completion = msgspec.json.Decoder(_Completion)


class Stream(SseStream):
    """Chunks of `chat.completion.chunk`, closed by `[DONE]`."""

    def __init__(self, context: CallContext) -> None:
        super().__init__(context)
        self._answer = _Answer(context)

    def frame(self, event: Event) -> Iterator[StreamEvent]:
        if event.data.strip() == b"[DONE]":
            self.done = True
            return
        chunk = _completion.decode(event.data)
        if (text := self._answer.plain_text(chunk)) is not None:
            yield text
            return
        if chunk.error:
            raise classify(200, {}, event.data)
        yield from self._answer.chunk(chunk)
        self.complete = self._answer.complete

    def closing(self) -> Iterator[StreamEvent]:
        yield from self._answer.closing()


def whole(body: bytes, context: CallContext) -> Iterator[StreamEvent]:
    """The events of an unstreamed answer. Raises UpstreamFailure: error in a 200, or malformed."""
    completion = decoded(body, _completion)
    if completion.error:
        raise classify(200, {}, body)
    if not completion.choices:
        raise UpstreamFailure(FailureKind.MALFORMED, "the answer has no choices")
    for choice in completion.choices:
        choice.delta = choice.message
        for place, call in enumerate((choice.message and choice.message.tool_calls) or ()):
            call.index = place  # whole calls have no index, and sometimes no id either
        choice.finish_reason = (
            choice.finish_reason or "stop"
        )  # the body is complete; some compatible servers send null
    answer = _Answer(context)
    yield from answer.chunk(completion)
    yield from answer.closing()


class _Answer:
    """The state of an answer while it arrives, over all choices."""

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._started = False
        self._tier = ServedTier(context.service_tier)
        self._last_tier: str | None = None  # as reported
        self._usage: Usage | None = None
        self._finish: dict[int, FinishReason] = {}
        self._numbers: dict[int, int] = {}  # the server's index of a choice → its place, from 0 without gaps
        self._calls: dict[int, ToolCalls] = {}  # by choice
        self._with_text: set[int] = set()  # choices
        self._thoughts: dict[int, dict[str, list[str]]] = {}  # choice → field → its pieces

    @property
    def complete(self) -> bool:
        return bool(self._finish) and len(self._finish) == len(self._numbers)

    def plain_text(self, chunk: _Completion) -> TextDelta | None:
        """The text of a chunk that holds nothing else, as nearly all do: `chunk` reads the others."""
        if not self._started or not chunk.choices or len(chunk.choices) != 1:
            return None
        choice = chunk.choices[0]
        place, delta = self._numbers.get(choice.index), choice.delta
        if place is None or delta is None or not isinstance(delta.content, str) or not delta.content:
            return None
        holds_more = (
            chunk.error
            or (chunk.service_tier is not None and chunk.service_tier != self._last_tier)
            or chunk.usage
            or chunk.timings
            or choice.usage
            or choice.finish_reason
            or choice.logprobs is not None
            or delta.refusal
            or delta.tool_calls
            or delta.reasoning_content
            or delta.reasoning
        )
        if holds_more:
            return None
        self._with_text.add(place)
        return TextDelta(delta.content, place)

    def chunk(self, chunk: _Completion) -> Iterator[StreamEvent]:
        if not self._started:
            self._started = True
            yield Started(identifier(chunk.model) or self._context.model, identifier(chunk.id) or None)
        yield from self._tier.read(chunk.service_tier)
        self._last_tier = chunk.service_tier or self._last_tier
        for choice in chunk.choices or ():
            place = self._numbers.setdefault(choice.index, len(self._numbers))
            if choice.delta is not None:
                yield from self._content(choice.delta, place)
            if choice.logprobs is not None and choice.logprobs.content:
                yield LogprobsDelta(tuple(choice.logprobs.content), place)
            self._read_usage(choice.usage)
            if choice.finish_reason:
                self._finish[place] = self._reason(choice.finish_reason, place)
        self._read_usage(chunk.usage, chunk.timings)

    def closing(self) -> Iterator[StreamEvent]:
        for choice, calls in self._calls.items():
            if self._finish.get(choice) is not FinishReason.LENGTH:
                calls.check_named()
        yield from self._carried()
        if self._usage is not None:
            yield UsageReport(self._usage)
        yield from finished(self._finish)

    def _read_usage(self, report: msgspec.Raw, timings: msgspec.Raw = _NO_REPORT) -> None:
        """The last report counts, whether it comes in a chunk of its own or with each."""
        if (report or timings) and (usage := usage_of(report, timings)) is not None:
            self._usage = usage

    def _content(self, delta: _Delta, choice: int) -> Iterator[StreamEvent]:
        yield from self._reasoning(delta, choice)
        if delta.content or delta.refusal:
            self._with_text.add(choice)
        if isinstance(delta.content, list):
            yield from self._parts(delta.content, choice)
        elif delta.content:
            yield TextDelta(delta.content, choice)
        if delta.refusal:
            yield RefusalDelta(delta.refusal, choice)
        for call in delta.tool_calls or ():
            for call_delta in self._call(call, choice):
                if not (self._context.single_call and call_delta.index):
                    yield call_delta

    def _parts(self, parts: list[str | _Part], choice: int) -> Iterator[StreamEvent]:
        for part in parts:
            if isinstance(part, str):
                part = _Part(text=part)
            thoughts = part.thinking if isinstance(part.thinking, list) else [_Words(part.thinking)]
            for thought in thoughts:
                if thought.text:
                    yield ReasoningDelta(thought.text, choice=choice)
            if part.text:
                yield TextDelta(part.text, choice)
            if part.refusal:
                yield RefusalDelta(part.refusal, choice)

    def _reasoning(self, delta: _Delta, choice: int) -> Iterator[StreamEvent]:
        for field in REASONING_FIELDS:
            text = getattr(delta, field)
            if isinstance(text, str) and text:
                self._thoughts.setdefault(choice, {}).setdefault(field, []).append(text)
                yield ReasoningDelta(text, choice=choice)
                return

    def _carried(self) -> Iterator[StreamEvent]:
        """The reasoning before tool calls, which some servers demand back with the results."""
        for choice, by_field in self._thoughts.items():
            if self._calls.get(choice):
                data = {field: "".join(texts) for field, texts in by_field.items()}
                carried = Opaque(self._context.provider, data, lasting=True)
                yield ReasoningDelta(carried=carried, choice=choice)

    def _call(self, call: _ToolCall, choice: int) -> Iterator[ToolCallDelta]:
        function = call.function or _Function()
        if call.custom is not None:
            function = _Function(call.custom.name, call.custom.input)
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        fragment = Fragment(call.index, call.id, function.name, arguments or "", call.custom is not None)
        yield from self._calls.setdefault(choice, ToolCalls(choice)).add(fragment)

    def _reason(self, reason: str, choice: int) -> FinishReason:
        mapped = FINISH.get(reason)
        if mapped is None:
            has_content = choice in self._with_text or bool(self._calls.get(choice))
            mapped = unknown_end(reason, has_content=has_content and reason not in _FAILED)
        if mapped is FinishReason.STOP and self._calls.get(choice):
            return FinishReason.TOOL_CALLS  # a forced function finishes with "stop"
        return mapped
