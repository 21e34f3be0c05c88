"""OpenAI Chat Completions: `POST /v1/chat/completions`, whole and streamed."""

from collections.abc import Iterator
from typing import Any

import msgspec

from routing.simulator.model import tokens
from routing.simulator.model.answers import compose
from routing.simulator.model.usage import measure
from routing.simulator.openai.chat_requests import read_request
from routing.simulator.openai.rules import check_key, check_prompt, response_headers, tier_used
from routing.simulator.shared.prompt import Answer, Call, Generation, Usage
from routing.simulator.shared.reply import Exchange, Frame, Reply, chunks_of, fragments, named_model, usage_of
from routing.simulator.shared.wire import encode

_PIECES_A_CHUNK = 2
_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refusal": "stop",
}
_SERVER_ERROR = {
    "error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


def answer(exchange: Exchange) -> Reply:
    check_key(exchange.request)
    body: dict[str, Any] = exchange.body
    generation = read_request(body)
    check_prompt(generation, chat=True)
    measured = measure(generation, exchange.cache)
    answers = [compose(generation, index, exchange.effects.manner) for index in range(generation.n)]
    usage = usage_of(measured, answers)
    base = {
        "id": exchange.ids.new("chatcmpl-", 29),
        "object": "chat.completion",
        "created": exchange.now,
        "model": named_model(exchange, str(body["model"])),
    }
    tail = {"service_tier": tier_used(body.get("service_tier")), "system_fingerprint": "fp_simulated"}
    reply = Reply(generation.model, usage, response_headers(exchange.request_id, generation.model))
    if exchange.streamed:
        base["object"] = "chat.completion.chunk"
        frames = _frames(exchange, generation, answers, usage, {**base, **tail})
        broken = _sse({**base, "choices": []})[:-24] + b"\n\n"
        return msgspec.structs.replace(reply, frames=frames, broken=broken, error=_sse(_SERVER_ERROR))
    choices = [
        _choice(exchange, generation, completion, index, body) for index, completion in enumerate(answers)
    ]
    whole: dict[str, Any] = {**base, "choices": choices, "usage": _usage(usage), **tail}
    if exchange.effects.drop_usage:
        del whole["usage"]
    return msgspec.structs.replace(reply, body=encode(whole), error=encode(_SERVER_ERROR))


def _choice(
    exchange: Exchange, generation: Generation, completion: Answer, index: int, body: dict[str, Any]
) -> dict[str, Any]:
    error_reply = completion.finish == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if completion.calls or error_reply else completion.text,
        "refusal": completion.text if error_reply else None,
        "annotations": [],
    }
    if completion.calls:
        message["tool_calls"] = [
            _spelled(call, exchange.ids.new("call_"), call.written) for call in completion.calls
        ]
    logprobs = (
        {"content": _logprobs(completion.text, body), "refusal": None} if body.get("logprobs") else None
    )
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": _finish(completion, generation),
    }


def _frames(
    exchange: Exchange, generation: Generation, answers: list[Answer], usage: Usage, base: dict[str, Any]
) -> Iterator[Frame]:
    body: dict[str, Any] = exchange.body
    options = body.get("stream_options") or {}
    extra: dict[str, Any] = {"usage": None} if options.get("include_usage") else {}
    obscured = options.get("include_obfuscation", True)

    def chunk(
        index: int, delta: dict[str, Any], finish: str | None = None, tokens_in: int = 0, logs: Any = None
    ) -> Frame:
        choice = {"index": index, "delta": delta, "logprobs": logs, "finish_reason": finish}
        cover = (
            {"obfuscation": exchange.ids.new("", 4 + len(delta) * 3)} if obscured and finish is None else {}
        )
        return Frame(_sse({**base, "choices": [choice], **extra, **cover}), tokens_in, finish is not None)

    for index, completion in enumerate(answers):
        error_reply = completion.finish == "refusal"
        yield chunk(
            index,
            {
                "role": "assistant",
                "content": None if completion.calls or error_reply else "",
                "refusal": None,
            },
        )
        field = "refusal" if error_reply else "content"
        for text, size in chunks_of(completion, tokens.pieces(completion.text), _PIECES_A_CHUNK):
            logs = {"content": _logprobs(text, body), "refusal": None} if body.get("logprobs") else None
            yield chunk(index, {field: text}, tokens_in=size, logs=logs)
        for number, call in enumerate(completion.calls):
            first = {"index": number} | _spelled(call, exchange.ids.new("call_"), "")
            yield chunk(index, {"tool_calls": [first]}, tokens_in=4)
            for piece in fragments(call.written):
                more = {"custom": {"input": piece}} if call.text else {"function": {"arguments": piece}}
                yield chunk(index, {"tool_calls": [{"index": number} | more]}, tokens_in=3)
    for index, completion in enumerate(answers):
        yield chunk(index, {}, _finish(completion, generation))
    if extra and not exchange.effects.drop_usage:
        yield Frame(_sse({**base, "choices": [], "usage": _usage(usage)}), terminal=True)
    yield Frame(b"data: [DONE]\n\n", terminal=True)


def _finish(completion: Answer, generation: Generation) -> str:
    if completion.finish == "tool_calls" and generation.choice == "named":
        return "stop"  # as the real API: a call the caller forced by name finishes with stop
    return _FINISH[completion.finish]


def _spelled(call: Call, identity: str, written: str) -> dict[str, Any]:
    if call.text is not None:
        return {"id": identity, "type": "custom", "custom": {"name": call.name, "input": written}}
    return {"id": identity, "type": "function", "function": {"name": call.name, "arguments": written}}


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = {"cached_tokens": usage.cached, "audio_tokens": 0}
    if usage.cache_write:
        prompt["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _logprobs(text: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a token; likelihoods are made up, but fixed for a token."""
    wanted = int(body.get("top_logprobs") or 0)
    entries = []
    for piece in tokens.pieces(text):
        likelihood = -0.01 * (1 + sum(piece.encode()) % 40)
        alternatives = [piece, *(f"{piece}{number}" for number in range(1, wanted))][:wanted]
        top = [
            {"token": token, "logprob": likelihood - 2.0 * rank, "bytes": list(token.encode())}
            for rank, token in enumerate(alternatives)
        ]
        entries.append(
            {"token": piece, "logprob": likelihood, "bytes": list(piece.encode()), "top_logprobs": top}
        )
    return entries


def _sse(payload: dict[str, Any]) -> bytes:
    return b"data: " + encode(payload) + b"\n\n"
