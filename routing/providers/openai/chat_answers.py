"""OpenAI Chat Completions: answers, streamed and whole, of OpenAI and of compatible servers."""

from collections.abc import Iterator
from typing import Any

import msgspec

from billing.usage import Usage
from routing.language.chat import (
    FinishReason,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from routing.providers.openai.errors import classify
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.wire import CallContext, SseStream, decoded, finished
from routing.providers.transport.sse import Event

FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


# Fields that some compatible server leaves out or sends as null are optional here.


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # some compatible servers send the object


class _Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None  # vLLM, DeepSeek
    reasoning: str | None = None  # Ollama, OpenRouter
    tool_calls: list[_ToolCall] | None = None


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_completion = msgspec.json.Decoder(_Completion)


def usage_of(prompt: int, cached: int, written: int, completion: int, reasoning: int) -> Usage:
    """OpenAI's counts as `Usage`: its prompt tokens include cached and cache-written tokens."""
    return Usage(
        uncached_input_tokens=max(0, prompt - cached - written),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=completion,
        reasoning_tokens=reasoning,
    )


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
        self._usage: Usage | None = None
        self._finish: dict[int, FinishReason] = {}
        self._choices: set[int] = set()
        self._calls: dict[int, dict[int, str]] = {}  # choice → index → id of its calls

    @property
    def complete(self) -> bool:
        return bool(self._finish) and self._choices <= self._finish.keys()

    def chunk(self, chunk: _Completion) -> Iterator[StreamEvent]:
        if not self._started:
            self._started = True
            yield Started(chunk.model or self._context.model, chunk.id or None)
        for choice in chunk.choices or ():
            self._choices.add(choice.index)
            if choice.delta is not None:
                yield from self._content(choice.delta, choice.index)
            if choice.logprobs is not None and choice.logprobs.content:
                yield LogprobsDelta(tuple(choice.logprobs.content), choice.index)
            if choice.finish_reason:
                self._finish[choice.index] = self._reason(choice.finish_reason, choice.index)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)

    def closing(self) -> Iterator[StreamEvent]:
        if self._usage is not None:
            yield UsageReport(self._usage)
        yield from finished(self._finish)

    def _content(self, delta: _Delta, choice: int) -> Iterator[StreamEvent]:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            yield ReasoningDelta(reasoning, choice=choice)
        if delta.content:
            yield TextDelta(delta.content, choice)
        if delta.refusal:
            yield RefusalDelta(delta.refusal, choice)
        for call in delta.tool_calls or ():
            call_delta = self._call(call, choice)
            if not (self._context.single_call and call_delta.index):
                yield call_delta

    def _call(self, call: _ToolCall, choice: int) -> ToolCallDelta:
        calls = self._calls.setdefault(choice, {})
        function = call.function or _Function()
        if call.custom is not None:
            function = _Function(call.custom.name, call.custom.input)
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        index = call.index
        if index is None:  # compatible servers without an index: a new id is a new call
            index = len(calls) - 1 if calls and (not call.id or call.id in calls.values()) else len(calls)
        if index in calls:
            return ToolCallDelta(index, arguments=arguments or "", choice=choice)
        calls[index] = call.id or f"call_{choice}_{index}"
        return ToolCallDelta(
            index,
            calls[index],
            function.name or "",
            arguments or "",
            choice=choice,
            is_custom=call.custom is not None,
        )

    def _reason(self, reason: str, choice: int) -> FinishReason:
        mapped = FINISH.get(reason)
        if mapped is None:  # "error", "abort", …: a failure must not count as a normal end
            raise UpstreamFailure(FailureKind.SERVER, f"the provider ended the answer with {reason!r}")
        if mapped is FinishReason.STOP and self._calls.get(choice):
            return FinishReason.TOOL_CALLS  # a forced function finishes with "stop"
        return mapped


def _usage(usage: _Usage) -> Usage:
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or _CompletionDetails()
    return usage_of(
        usage.prompt_tokens or 0,
        prompt.cached_tokens or 0,
        prompt.cache_write_tokens or 0,
        usage.completion_tokens or 0,
        completion.reasoning_tokens or 0,
    )
