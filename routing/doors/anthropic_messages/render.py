"""Render an answer in Anthropic's shapes: the events of a stream, and the message they add up to."""

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from routing.doors.anthropic_messages.errors import error_body
from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared import sse
from routing.doors.shared.answer_facts import extra, who
from routing.doors.shared.errors import api_error
from routing.doors.shared.opaque import encode_opaque
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.language.chat import (
    Finished,
    FinishReason,
    Opaque,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from routing.pipeline import Answer
from routing.providers.anthropic.thinking import thinking_block
from routing.steps.settlement import Settled

Event = dict[str, Any]

STOP_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
PING: Event = {"type": "ping"}


async def whole(
    answer: Answer, shows_thinking: bool, enhancement: Enhancement | None
) -> tuple[bytes, Settled]:
    """The body of an answer that is not streamed: the sum of the events of its stream."""
    blocks = _Blocks(shows_thinking)
    added, settled = _Sum(), None
    async with aclosing(answer.batches()) as batches:
        async for batch in batches:
            for event in batch:
                if isinstance(event, Settled):
                    settled = event
                else:
                    added.add(blocks.of(event))
    assert settled is not None, "an answer ends with its settlement or an error"
    added.add(blocks.close())
    message = _message(answer, added.content()) | {
        "model": settled.model_used,
        **blocks.stopped(settled),
        "usage": usage(settled),
        "x_routeplex": extra(answer, settled, enhancement),
    }
    return msgspec.json.encode(message), settled


async def stream(
    answer: Answer, shows_thinking: bool, enhancement: Enhancement | None
) -> AsyncGenerator[bytes]:
    """The frames of a stream, errors included."""
    blocks = _Blocks(shows_thinking)
    try:
        async with sse.Inflow(answer.batches()) as inflow:
            yield _frame(_start(answer)) + _frame(PING)
            sent_at = time.monotonic()
            while (
                batch := await inflow.take(max(0.0, sent_at + sse.KEEP_ALIVE_S - time.monotonic()))
            ) is not None:
                ready = b"".join(
                    _frame(rendered)
                    for event in batch
                    for rendered in _rendered(event, blocks, answer, enhancement)
                )
                if not ready and time.monotonic() - sent_at >= sse.KEEP_ALIVE_S:
                    ready = _frame(PING)
                if ready:
                    yield ready
                    sent_at = time.monotonic()
    except Exception as exc:
        yield _frame(error_body(api_error(exc), answer.request_id))


def usage(settled: Settled) -> dict[str, Any]:
    """Usage in tokens. This API counts cached tokens beside the input, not within it."""
    used = settled.usage
    return {
        "input_tokens": used.uncached_input_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens + used.cache_write_1h_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.cache_write_tokens,
            "ephemeral_1h_input_tokens": used.cache_write_1h_tokens,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"thinking_tokens": used.reasoning_tokens},
        "service_tier": "priority" if settled.service_tier == "priority" else "standard",
    }


class _Blocks:
    """Turns an answer's events into those of its content blocks, one block open at a time."""

    def __init__(self, shows_thinking: bool) -> None:
        self._shows_thinking = shows_thinking
        self._count = 0
        self._open: str | None = None  # the type of the last block while it is open
        self._calls: dict[int, int] = {}  # index among the calls → index of the block
        self._held: list[Opaque] = []  # reasoning that may only follow the open text block
        self._finish: Finished | None = None
        self._refused = False

    def of(self, event: Any) -> Iterator[Event]:
        match event:
            case TextDelta():
                yield from self._text(event.text)
            case RefusalDelta():
                self._refused = True
                yield from self._text(event.text)
            case ReasoningDelta() if self._shows_thinking:
                yield from self._thinking(event)
            case ToolCallDelta():
                yield from self._call(event)
            case Finished():
                self._finish = event

    def close(self) -> Iterator[Event]:
        """End the open block, if there is one.

        Reasoning that waits for the end of the last text is dropped: clients take the last block for the
        answer, and the provider does not need it back.
        """
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._count - 1}
        self._open, self._held = None, []

    def stopped(self, settled: Settled) -> dict[str, Any]:
        """The reason why the message ended. Not every provider reports which stop sequence it met."""
        finish = self._finish or Finished(FinishReason(settled.finish_reason or "stop"))
        reason = "refusal" if self._refused else STOP_REASONS[finish.reason]
        if reason == "end_turn" and finish.stop is not None:
            reason = "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": finish.stop}

    def _text(self, text: str) -> Iterator[Event]:
        if self._open != "text":
            yield from self._start("text", {"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": text})

    def _thinking(self, event: ReasoningDelta) -> Iterator[Event]:
        if event.text:
            if self._open != "thinking":
                yield from self._start("thinking", _EMPTY_THINKING)
            yield self._delta({"type": "thinking_delta", "thinking": event.text})
        if event.carried is not None and self._open == "text":
            self._held.append(event.carried)
        elif event.carried is not None:
            yield from self._replay(event.carried)

    def _replay(self, reasoning: Opaque) -> Iterator[Event]:
        """Reasoning that the provider wants back: its own block, or encoded in the signature of a block."""
        block = thinking_block(reasoning)
        if block is not None and block["type"] == "redacted_thinking":
            yield from self._start("redacted_thinking", block)
        else:
            if self._open != "thinking":
                yield from self._start("thinking", _EMPTY_THINKING)
            signature = encode_opaque(reasoning) if block is None else block["signature"]
            yield self._delta({"type": "signature_delta", "signature": signature})
        yield from self.close()

    def _call(self, event: ToolCallDelta) -> Iterator[Event]:
        if event.index not in self._calls:
            block = {"type": "tool_use", "id": event.id or "", "name": event.name or "", "input": {}}
            yield from self._start("tool_use", block | replay.of_call(event.signature))
            self._calls[event.index] = self._count - 1
        if event.arguments:
            delta = {"type": "input_json_delta", "partial_json": event.arguments}
            yield self._delta(delta, self._calls[event.index])

    def _start(self, kind: str, block: dict[str, Any]) -> Iterator[Event]:
        held, self._held = self._held, []
        yield from self.close()
        for reasoning in held:
            yield from self._replay(reasoning)
        self._open = kind
        self._count += 1
        yield {"type": "content_block_start", "index": self._count - 1, "content_block": block}

    def _delta(self, delta: dict[str, Any], index: int | None = None) -> Event:
        at = self._count - 1 if index is None else index
        return {"type": "content_block_delta", "index": at, "delta": delta}


_EMPTY_THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def _rendered(
    event: Any, blocks: _Blocks, answer: Answer, enhancement: Enhancement | None
) -> Iterator[Event]:
    if not isinstance(event, Settled):
        yield from blocks.of(event)
        return
    yield from blocks.close()
    yield {
        "type": "message_delta",
        "delta": blocks.stopped(event),
        "usage": usage(event),
        "x_routeplex": extra(answer, event, enhancement),
    }
    yield {"type": "message_stop"}


def _start(answer: Answer) -> Event:
    """The first event. Its usage is our own count of the input; the provider's count comes at the end."""
    counted = {
        "input_tokens": answer.decision.record.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "service_tier": "standard",
    }
    message = _message(answer, []) | {"usage": counted, "x_routeplex": who(answer)}
    return {"type": "message_start", "message": message}


def _message(answer: Answer, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "msg_" + answer.request_id.removeprefix("req_"),
        "type": "message",
        "role": "assistant",
        "model": answer.facts.id,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


class _Sum:
    """The content that a client adds up from the events of its blocks."""

    def __init__(self) -> None:
        self._blocks: list[tuple[dict[str, Any], list[str]]] = []  # a block and the pieces of its text

    def add(self, events: Iterator[Event]) -> None:
        for event in events:
            if event["type"] == "content_block_start":
                self._blocks.append((dict(event["content_block"]), []))
            elif event["type"] == "content_block_delta":
                block, pieces = self._blocks[event["index"]]
                delta = event["delta"]
                if delta["type"] == "signature_delta":
                    block["signature"] = delta["signature"]
                else:
                    pieces.append(delta[_DELTA_TEXT[delta["type"]]])

    def content(self) -> list[dict[str, Any]]:
        return [self._whole(block, "".join(pieces)) for block, pieces in self._blocks]

    def _whole(self, block: dict[str, Any], text: str) -> dict[str, Any]:
        match block["type"]:
            case "tool_use":
                return block | {"input": _object(text)}
            case "text" | "thinking" as kind:
                return block | {kind: text}
        return block


_DELTA_TEXT = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def _object(arguments: str) -> dict[str, Any]:
    """The arguments as an object, which this API requires: any other value is wrapped in an object."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except ValueError:
        return {"invalid_json": arguments}
    return value if isinstance(value, dict) else {"value": value}


def _frame(event: Event) -> bytes:
    return f"event: {event['type']}\n".encode("ascii") + sse.event(event)
