"""Anthropic Messages: `POST /v1/messages`, whole and streamed, and `POST /v1/messages/count_tokens`."""

from collections.abc import Iterator
from typing import Any

import msgspec

from routing.simulator.anthropic.requests import ParsedRequest, read_request
from routing.simulator.anthropic.rules import check_prompt, response_headers, shows_thinking
from routing.simulator.model import tokens
from routing.simulator.model.answers import compose
from routing.simulator.model.usage import input_tokens, measure_marked
from routing.simulator.shared.errors import anthropic_error
from routing.simulator.shared.prompt import BLOCK_PHRASE, Answer, Usage
from routing.simulator.shared.reply import Exchange, Frame, Reply, chunks_of, fragments, named_model, usage_of
from routing.simulator.shared.signatures import signature
from routing.simulator.shared.wire import encode

_PIECES_A_CHUNK = 6
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "refusal",
}
_ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def answer(exchange: Exchange) -> Reply:
    body: dict[str, Any] = exchange.body
    parsed = read_request(exchange.request, body)
    check_prompt(parsed.generation)
    measured = measure_marked(parsed.generation, exchange.cache, parsed.marked_turns)
    completion = _completion(parsed, exchange.effects.manner)
    usage = usage_of(measured, [completion])
    message = {
        "id": exchange.ids.new("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "model": named_model(exchange, str(body["model"])),
    }
    blocks = _blocks(exchange, parsed, completion)
    reply = Reply(parsed.generation.model, usage, response_headers(exchange.request_id))
    if exchange.streamed:
        frames = _frames(exchange, parsed, completion, usage, message, blocks)
        broken = _sse("content_block_delta", {"type": "content_block_delta", "index": 0})[:-12] + b"\n\n"
        return msgspec.structs.replace(reply, frames=frames, broken=broken, error=_sse("error", _ERROR))
    whole: dict[str, Any] = {
        **message,
        "content": blocks,
        **_stop(completion),
        "usage": _usage(usage, parsed),
    }
    if exchange.effects.drop_usage:
        del whole["usage"]
    return msgspec.structs.replace(reply, body=encode(whole), error=encode(_ERROR))


def count_tokens(exchange: Exchange) -> bytes:
    body: dict[str, Any] = exchange.body
    for name in ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "metadata"):
        if name in body:
            raise anthropic_error(400, f"{name}: Extra inputs are not permitted")
    parsed = read_request(exchange.request, body, counting=True)
    return encode({"input_tokens": input_tokens(parsed.generation)})


def _completion(parsed: ParsedRequest, manner: str | None) -> Answer:
    if any(BLOCK_PHRASE in turn.text.lower() for turn in parsed.generation.turns if turn.role == "user"):
        return Answer("", "", 0, 1, "refusal")
    completion = compose(parsed.generation, manner=manner)
    if parsed.generation.continues and completion.text.startswith(parsed.generation.continues):
        return msgspec.structs.replace(completion, text=completion.text[len(parsed.generation.continues) :])
    return completion


def _blocks(exchange: Exchange, parsed: ParsedRequest, completion: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    body: dict[str, Any] = exchange.body
    if completion.reasoning:
        shown = completion.reasoning if shows_thinking(parsed.generation.model, body) else ""
        blocks.append({"type": "thinking", "thinking": shown, "signature": signature(body, shown)})
    if completion.text:
        blocks.append({"type": "text", "text": completion.text, "citations": None})
    blocks += [
        {
            "type": "tool_use",
            "id": exchange.ids.new("toolu_01", 22),
            "name": call.name,
            "input": call.arguments,
        }
        for call in completion.calls
    ]
    return blocks


def _stop(completion: Answer) -> dict[str, Any]:
    details = None
    if completion.finish == "refusal":
        details = {"type": "refusal", "category": "general_harms", "explanation": "A simulated refusal."}
    return {
        "stop_reason": _STOP_REASONS[completion.finish],
        "stop_sequence": completion.stop_sequence,
        "stop_details": details,
    }


def _usage(usage: Usage, parsed: ParsedRequest, output_tokens: int | None = None) -> dict[str, Any]:
    """Cache reads and writes are counted beside input_tokens, not within them."""
    hourly = parsed.ttl == "1h"
    return {
        "input_tokens": usage.input_tokens - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if hourly else usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write if hourly else 0,
        },
        "output_tokens": usage.output_tokens if output_tokens is None else output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning if output_tokens is None else 0},
        "service_tier": "standard",
    }


def _frames(
    exchange: Exchange,
    parsed: ParsedRequest,
    completion: Answer,
    usage: Usage,
    message: dict[str, Any],
    blocks: list[dict[str, Any]],
) -> Iterator[Frame]:
    begun: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    start: dict[str, Any] = {**message, **begun, "usage": _usage(usage, parsed, output_tokens=1)}
    if exchange.effects.drop_usage:
        del start["usage"]
    yield Frame(_sse("message_start", {"type": "message_start", "message": start}))
    for index, block in enumerate(blocks):
        empty: dict[str, dict[str, Any]] = {
            "thinking": {"thinking": "", "signature": ""},
            "text": {"text": ""},
            "tool_use": {"input": {}},
        }
        start = {**block, **empty[block["type"]]}
        yield _event("content_block_start", {"index": index, "content_block": start})
        if index == 0:
            yield _event("ping", {})
        for delta, size in _deltas(block, completion):
            yield _event("content_block_delta", {"index": index, "delta": delta}, size)
        yield _event("content_block_stop", {"index": index})
    final = _usage(usage, parsed)
    del final["cache_creation"], final["service_tier"]
    closing = {"delta": _stop(completion), **({} if exchange.effects.drop_usage else {"usage": final})}
    yield _event("message_delta", closing, terminal=True)
    yield _event("message_stop", {}, terminal=True)


def _deltas(block: dict[str, Any], completion: Answer) -> Iterator[tuple[dict[str, Any], int]]:
    match block["type"]:
        case "thinking":
            if block["thinking"]:
                for piece in fragments(block["thinking"], 40):
                    yield {"type": "thinking_delta", "thinking": piece}, 0
            yield {"type": "signature_delta", "signature": block["signature"]}, completion.reasoning_tokens
        case "text":
            for text, size in chunks_of(completion, tokens.pieces(block["text"]), _PIECES_A_CHUNK):
                yield {"type": "text_delta", "text": text}, size
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}, 4
            for piece in fragments(encode(block["input"]).decode(), 16):
                yield {"type": "input_json_delta", "partial_json": piece}, 4


def _event(kind: str, payload: dict[str, Any], size: int = 0, *, terminal: bool = False) -> Frame:
    return Frame(_sse(kind, {"type": kind, **payload}), size, terminal)


def _sse(kind: str, payload: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode(payload) + b"\n\n"
