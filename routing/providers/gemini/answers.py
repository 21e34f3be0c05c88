"""Gemini generateContent: answers. A stream is a sequence of partial answers in the same form."""

import uuid
from collections.abc import Iterator
from typing import Any

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
from routing.providers.gemini.errors import classify
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.wire import (
    CallContext,
    ChoiceIndex,
    Continues,
    SseStream,
    WireEvent,
    decoded,
    finished,
    named,
    unknown_end,
)
from routing.providers.transport.sse import Event

_FILTERS = (
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
)
_GOES_ON = "CONTINUATION"  # Gemini 4 returns long answers in legs
FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    _GOES_ON: FinishReason.LENGTH,
    **dict.fromkeys(_FILTERS, FinishReason.CONTENT_FILTER),
}
# The model's output was invalid: a retry or another model may succeed
_INVALID_OUTPUT = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
# The provider failed, or cannot answer this prompt: another model may
_FAILED = frozenset(
    {"OTHER", "FINISH_REASON_UNSPECIFIED", "LANGUAGE", "ESCALATION", "NO_IMAGE", "IMAGE_OTHER"}
)


class _Call(msgspec.Struct):
    name: str = ""
    id: str | None = None
    args: Any = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    continuation_token: str | None = None
    index: ChoiceIndex = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Response(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw(b"")
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


_response = msgspec.json.Decoder(_Response)


class Stream(SseStream):
    """Partial answers; the end of the connection is the only end marker."""

    def __init__(self, context: CallContext) -> None:
        super().__init__(context)
        self._answer = _Answer(context)

    def frame(self, event: Event) -> Iterator[StreamEvent]:
        piece = _response.decode(event.data)
        if piece.error:
            raise classify(200, {}, event.data)
        yield from self._answer.piece(piece)
        self.complete = self._answer.complete

    def closing(self) -> Iterator[WireEvent]:
        yield from self._answer.closing()


def whole(body: bytes, context: CallContext) -> Iterator[WireEvent]:
    """The events of an unstreamed answer. Raises UpstreamFailure: error in a 200, or malformed."""
    response = decoded(body, _response)
    if response.error:
        raise classify(200, {}, body)
    answer = _Answer(context)
    yield from answer.piece(response)
    if not answer.complete:
        raise UpstreamFailure(FailureKind.MALFORMED, "the answer has no candidate with a finish reason")
    yield from answer.closing()


class _Answer:
    """The state of an answer while it arrives, over all candidates."""

    def __init__(self, context: CallContext) -> None:
        self._context = context
        self._started = False
        self._usage: Usage | None = None
        self._candidates: set[int] = set()
        self._finish: dict[int, FinishReason] = {}
        self._token: str | None = None  # continues an answer that has one candidate
        self._calls: dict[int, int] = {}  # candidate → its calls so far
        self._with_text: set[int] = set()  # candidates

    @property
    def complete(self) -> bool:
        return bool(self._finish) and self._candidates <= self._finish.keys()

    def piece(self, piece: _Response) -> Iterator[StreamEvent]:
        if not self._started:
            self._started = True
            model = identifier(piece.model_version) or self._context.model
            yield Started(model, identifier(piece.response_id) or None)
        for candidate in piece.candidates or ():
            self._candidates.add(candidate.index)
            parts = candidate.content.parts if candidate.content else None
            for part in parts or ():
                yield from self._part(part, candidate.index)
        if (usage := _usage(Counts(piece.usage_metadata))) is not None and usage != self._usage:
            self._usage = usage
            yield UsageReport(usage)
        if not piece.candidates and piece.prompt_feedback and piece.prompt_feedback.block_reason:
            reason = piece.prompt_feedback.block_reason
            raise UpstreamFailure(
                FailureKind.REFUSED,
                piece.prompt_feedback.block_reason_message or f"the provider blocked the prompt: {reason}",
                status=200,
                provider_code=reason,
            )
        for candidate in piece.candidates or ():
            if candidate.finish_reason:
                self._finish[candidate.index] = self._reason(candidate)
                self._token = candidate.continuation_token if candidate.finish_reason == _GOES_ON else None

    def closing(self) -> Iterator[WireEvent]:
        """The API finishes function calls with STOP too: whether there were calls decides the reason."""
        if self._token and len(self._finish) == 1:
            yield Continues(self._token)
            return
        yield from finished(
            {
                index: FinishReason.TOOL_CALLS
                if reason is FinishReason.STOP and self._calls.get(index)
                else reason
                for index, reason in self._finish.items()
            }
        )

    def _part(self, part: _Part, choice: int) -> Iterator[StreamEvent]:
        if part.function_call is not None:
            yield from self._call(part.function_call, part.thought_signature, choice)
            return
        if part.thought:
            if part.text:
                yield ReasoningDelta(part.text, choice=choice)
            return
        if part.text:
            self._with_text.add(choice)
            yield TextDelta(part.text, choice)
        if part.thought_signature:
            replay = Opaque(self._context.provider, {"textSignature": part.thought_signature})
            yield ReasoningDelta(carried=replay, choice=choice)

    def _call(self, call: _Call, signature: str | None, choice: int) -> Iterator[StreamEvent]:
        index = self._calls.get(choice, 0)
        if index and self._context.single_call:
            return  # the API cannot switch parallel calls off
        self._calls[choice] = index + 1
        own = {"thoughtSignature": signature, "id": call.id}
        yield ToolCallDelta(
            index,
            call.id or f"call_{uuid.uuid4().hex}",
            named(call.name),
            msgspec.json.encode(call.args if call.args is not None else {}).decode(),
            Opaque(self._context.provider, {key: value for key, value in own.items() if value})
            if signature or call.id
            else None,
            choice,
        )

    def _reason(self, candidate: _Candidate) -> FinishReason:
        reason = candidate.finish_reason or ""
        if reason in FINISH:
            return FINISH[reason]
        if reason not in _INVALID_OUTPUT | _FAILED:
            has_content = candidate.index in self._with_text or bool(self._calls.get(candidate.index))
            return unknown_end(reason, has_content=has_content)
        kind = FailureKind.MALFORMED if reason in _INVALID_OUTPUT else FailureKind.SERVER
        raise UpstreamFailure(
            kind,
            candidate.finish_message or f"the provider ended the answer with {reason}",
            status=200,
            provider_code=reason,
        )


def _usage(counts: Counts) -> Usage | None:
    """Cached tokens are part of the prompt; thoughts are billed output beside the candidates."""
    if not counts:
        return None
    prompt, tools = counts.read("promptTokenCount"), counts.read("toolUsePromptTokenCount")
    candidates, thoughts = counts.read("candidatesTokenCount"), counts.read("thoughtsTokenCount")
    total = counts.read("totalTokenCount")
    if counts.issue is not None:
        return Usage(issue=counts.issue)
    cached = counts.read("cachedContentTokenCount") or 0
    input_tokens, output = (prompt or 0) + (tools or 0), (candidates or 0) + (thoughts or 0)
    audio = max(0, _audio(counts, "promptTokensDetails") - _audio(counts, "cacheTokensDetails"))
    adds_up = cached <= input_tokens and total in (None, 0, input_tokens + output)
    return Usage(
        uncached_input_tokens=max(0, input_tokens - cached),
        cache_read_tokens=min(cached, input_tokens),
        output_tokens=output,
        reasoning_tokens=thoughts or 0,
        issue=counts.issue or (None if adds_up else UsageIssue.INCONSISTENT),
        audio_input_tokens=min(audio, max(0, input_tokens - cached)),
    )


def _audio(counts: Counts, path: str) -> int:
    """Tokens of sound in a list of counts by modality."""
    return sum(
        item.read("tokenCount") or 0 for item in counts.items(path) if item.text("modality") == "AUDIO"
    )
