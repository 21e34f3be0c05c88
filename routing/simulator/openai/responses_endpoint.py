"""OpenAI Responses: `POST /v1/responses`, whole and streamed."""

from collections.abc import Iterator
from typing import Any

import msgspec

from routing.simulator.model import tokens
from routing.simulator.model.answers import compose
from routing.simulator.model.usage import measure
from routing.simulator.openai.responses_requests import read_request
from routing.simulator.openai.rules import check_key, check_prompt, response_headers, tier_used
from routing.simulator.shared.prompt import Answer, Usage
from routing.simulator.shared.reply import Exchange, Frame, Reply, chunks_of, fragments, named_model, usage_of
from routing.simulator.shared.wire import encode

_PIECES_A_CHUNK = 3
_ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}


def answer(exchange: Exchange) -> Reply:
    check_key(exchange.request)
    body: dict[str, Any] = exchange.body
    generation = read_request(body)
    check_prompt(generation, chat=False)
    measured = measure(generation, exchange.cache)
    completion = compose(generation, manner=exchange.effects.manner)
    usage = usage_of(measured, [completion])
    items = _items(exchange, completion)
    response = _response(exchange, completion, generation.effort)
    reply = Reply(generation.model, usage, response_headers(exchange.request_id, generation.model))
    if exchange.streamed:
        frames = _frames(exchange, response, completion, items, usage)
        broken = (
            b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_num\n\n'
        )
        error = {
            "type": "error",
            "sequence_number": 3,
            "code": "server_error",
            "message": "The server had an error.",
            "param": None,
        }
        return msgspec.structs.replace(reply, frames=frames, broken=broken, error=_sse(error))
    failed = {
        **response,
        "status": "failed",
        "error": {"code": "server_error", "message": "The server had an error."},
    }
    whole = _ended(exchange, response, completion, items, usage)
    return msgspec.structs.replace(reply, body=encode(whole), error=encode(failed))


def _response(exchange: Exchange, completion: Answer, effort: str | None) -> dict[str, Any]:
    """The response object before it has output."""
    body: dict[str, Any] = exchange.body
    text = body.get("text") or {}
    return {
        "id": exchange.ids.hex("resp_", 48),
        "object": "response",
        "created_at": exchange.now,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": named_model(exchange, str(body["model"])),
        "output": [],
        **{name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()},
        "reasoning": {"effort": effort, "summary": (body.get("reasoning") or {}).get("summary")},
        "service_tier": tier_used(body.get("service_tier")),
        "text": {
            "format": text.get("format") or {"type": "text"},
            "verbosity": text.get("verbosity", "medium"),
        },
        "usage": None,
    }


def _items(exchange: Exchange, completion: Answer) -> list[dict[str, Any]]:
    """The finished output items: reasoning, then the message or the calls."""
    body: dict[str, Any] = exchange.body
    status = "incomplete" if completion.finish == "length" else "completed"
    items: list[dict[str, Any]] = []
    if completion.reasoning_tokens:
        wanted = (body.get("reasoning") or {}).get("summary")
        summary = (
            [{"type": "summary_text", "text": completion.reasoning}]
            if wanted and completion.reasoning
            else []
        )
        item = {"id": exchange.ids.hex("rs_", 48), "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in (body.get("include") or []):
            item["encrypted_content"] = exchange.ids.new("gAAAAA", 80)
        items.append(item)
    for call in completion.calls:
        kind, written = ("fc_", "arguments") if call.text is None else ("ctc_", "input")
        items.append(
            {
                "id": exchange.ids.hex(kind, 48),
                "type": "function_call" if call.text is None else "custom_tool_call",
                "status": "completed",
                "call_id": exchange.ids.new("call_"),
                "name": call.name,
                written: call.written,
            }
        )
    if completion.text:
        if completion.finish == "refusal":
            part: dict[str, Any] = {"type": "refusal", "refusal": completion.text}
        else:
            part = {"type": "output_text", "text": completion.text, "annotations": [], "logprobs": []}
        message = {
            "id": exchange.ids.hex("msg_", 48),
            "type": "message",
            "status": status,
            "role": "assistant",
        }
        items.append({**message, "content": [part]})
    return items


def _ended(
    exchange: Exchange,
    response: dict[str, Any],
    completion: Answer,
    items: list[dict[str, Any]],
    usage: Usage,
) -> dict[str, Any]:
    short = completion.finish == "length"
    return {
        **response,
        "status": "incomplete" if short else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if short else None,
        "output": items,
        "usage": None if exchange.effects.drop_usage else _usage(usage),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _frames(
    exchange: Exchange,
    response: dict[str, Any],
    completion: Answer,
    items: list[dict[str, Any]],
    usage: Usage,
) -> Iterator[Frame]:
    events = _events(exchange, response, completion, items, usage)
    for number, (payload, size) in enumerate(events):
        kind = payload["type"]
        terminal = kind in {"response.completed", "response.incomplete"}
        yield Frame(_sse({"type": kind, "sequence_number": number, **payload}), size, terminal)


def _events(
    exchange: Exchange,
    response: dict[str, Any],
    completion: Answer,
    items: list[dict[str, Any]],
    usage: Usage,
) -> Iterator[tuple[dict[str, Any], int]]:
    yield {"type": "response.created", "response": response}, 0
    yield {"type": "response.in_progress", "response": response}, 0
    for index, item in enumerate(items):
        empty: dict[str, dict[str, Any]] = {
            "message": {"content": []},
            "function_call": {"arguments": ""},
            "custom_tool_call": {"input": ""},
            "reasoning": {"summary": []},
        }
        started = {**item, **empty[item["type"]]}
        if item["type"] != "reasoning":
            started["status"] = "in_progress"
        yield {"type": "response.output_item.added", "output_index": index, "item": started}, 0
        where = {"item_id": item["id"], "output_index": index}
        match item["type"]:
            case "reasoning":
                yield from _summary_events(item, where)
            case "function_call":
                for piece in fragments(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}, 3
                done = {"name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **where, **done}, 0
            case "custom_tool_call":
                for piece in fragments(item["input"]):
                    yield {"type": "response.custom_tool_call_input.delta", **where, "delta": piece}, 3
                yield {"type": "response.custom_tool_call_input.done", **where, "input": item["input"]}, 0
            case "message":
                yield from _message_events(item, where, completion)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}, 0
    ended = _ended(exchange, response, completion, items, usage)
    yield {"type": f"response.{ended['status']}", "response": ended}, 0


def _summary_events(item: dict[str, Any], where: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    for number, part in enumerate(item["summary"]):
        place = {**where, "summary_index": number}
        blank = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": blank}, 0
        for piece in fragments(part["text"], 40):
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}, 0
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}, 0
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}, 0


def _message_events(
    item: dict[str, Any], where: dict[str, Any], completion: Answer
) -> Iterator[tuple[dict[str, Any], int]]:
    part = item["content"][0]
    field = "refusal" if part["type"] == "refusal" else "text"
    name = "refusal" if field == "refusal" else "output_text"
    place = {**where, "content_index": 0}
    extra: dict[str, Any] = {} if field == "refusal" else {"logprobs": []}
    yield {"type": "response.content_part.added", **place, "part": {**part, field: ""}}, 0
    for text, size in chunks_of(completion, tokens.pieces(completion.text), _PIECES_A_CHUNK):
        yield {"type": f"response.{name}.delta", **place, "delta": text, **extra}, size
    yield {"type": f"response.{name}.done", **place, field: completion.text, **extra}, 0
    yield {"type": "response.content_part.done", **place, "part": part}, 0


def _sse(payload: dict[str, Any]) -> bytes:
    return b"event: " + str(payload["type"]).encode() + b"\ndata: " + encode(payload) + b"\n\n"
