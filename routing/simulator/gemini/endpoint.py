"""Gemini generateContent: whole, streamed (SSE with CRLF, or a JSON array), and countTokens."""

import base64
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from routing.simulator.gemini.contents import SIGNATURE_MARK
from routing.simulator.gemini.requests import camel, leg_token, read_request, wants_thoughts
from routing.simulator.gemini.rules import check_key, check_prompt
from routing.simulator.model import tokens
from routing.simulator.model.answers import compose
from routing.simulator.model.usage import input_tokens, measure
from routing.simulator.shared.prompt import BLOCK_PHRASE, LONG_PHRASE, Answer, Generation, Usage
from routing.simulator.shared.reply import Exchange, Frame, Reply, chunks_of, named_model, usage_of
from routing.simulator.shared.wire import Headers, encode

_PIECES_A_CHUNK = 24
_FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "SAFETY",
    "continuation": "CONTINUATION",
}
_LEGS = 3
_ERROR = {
    "error": {
        "code": 503,
        "message": "The model is overloaded. Please try again later.",
        "status": "UNAVAILABLE",
    }
}


def answer(exchange: Exchange) -> Reply:
    check_key(exchange.request)
    body: dict[str, Any] = exchange.body
    version = exchange.request.path.split("/")[1]
    method = "streamGenerateContent" if exchange.streamed else "generateContent"
    generation = read_request(body, exchange.path_model, version, method)
    check_prompt(generation)
    measured = measure(generation, exchange.cache)
    blocked = any(BLOCK_PHRASE in turn.text.lower() for turn in generation.turns if turn.role == "user")
    composed = [compose(generation, index, exchange.effects.manner) for index in range(generation.n)]
    answers = [] if blocked else [_leg_of(generation, completion) for completion in composed]
    usage = usage_of(measured, answers)
    tail = {
        "modelVersion": named_model(exchange, generation.model.id),
        "responseId": exchange.ids.new("", 22),
    }
    reply = Reply(generation.model, usage, response_headers())
    thoughts = wants_thoughts(body)
    if exchange.streamed:
        framing = _Framing(sse=exchange.request.query.get("alt") == "sse")
        frames = framing.framed(_payloads(exchange, generation, answers, usage, tail, thoughts=thoughts))
        broken = b'data: {"candidates": [{"content": {"parts": [{"text"\r\n\r\n'
        return msgspec.structs.replace(reply, frames=frames, broken=broken, error=framing.single(_ERROR))
    whole: dict[str, Any] = _feedback() if blocked else {}
    if answers:
        whole["candidates"] = [
            {
                "content": {
                    "parts": _parts(exchange, generation, completion, thoughts=thoughts),
                    "role": "model",
                },
                "finishReason": _FINISH[completion.finish],
                "index": index,
                **_token(generation, completion),
            }
            for index, completion in enumerate(answers)
        ]
    whole |= {**_metadata(exchange, usage), **tail}
    return msgspec.structs.replace(reply, body=encode(whole), error=encode(_ERROR))


def count_tokens(exchange: Exchange) -> bytes:
    check_key(exchange.request)
    body: dict[str, Any] = camel(exchange.body)
    version = exchange.request.path.split("/")[1]
    inner = body.get("generateContentRequest") or body
    generation = read_request(inner, exchange.path_model, version, "countTokens")
    total = input_tokens(generation)
    return encode({"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]})


def response_headers() -> Headers:
    return [
        ("server", "scaffolding on HTTPServer2"),
        ("server-timing", "gfet4t7; dur=320"),
        ("vary", "Origin, X-Origin, Referer"),
    ]


def _payloads(
    exchange: Exchange,
    generation: Generation,
    answers: list[Answer],
    usage: Usage,
    tail: dict[str, Any],
    *,
    thoughts: bool,
) -> Iterator[tuple[dict[str, Any], int, bool]]:
    """The chunks of a stream, with their tokens and whether they end the answer."""
    if not answers:
        yield {**_feedback(), **_metadata(exchange, usage), **tail}, 0, True
        return
    for index, completion in enumerate(answers):
        parts = _parts(exchange, generation, completion, thoughts=thoughts)
        texts = (
            chunks_of(completion, tokens.pieces(completion.text), _PIECES_A_CHUNK)
            if completion.text and completion.finish != "refusal"
            else []
        )
        leading = [part for part in parts if part.get("thought") or "functionCall" in part]
        for part in leading:
            candidate = {"content": {"parts": [part], "role": "model"}, "index": index}
            size = 0 if part.get("thought") else usage.output_tokens // len(leading)
            yield {"candidates": [candidate], **_metadata(exchange, usage, final=False), **tail}, size, False
        for text, size in texts[:-1]:
            candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": index}
            yield {"candidates": [candidate], **_metadata(exchange, usage, final=False), **tail}, size, False
        last_text, size = texts[-1] if texts else ("", 0)
        last_part = {"text": last_text, **_text_signature(generation, completion)}
        content = {"parts": [last_part] if completion.finish != "refusal" else [], "role": "model"}
        candidate = {"content": content, "finishReason": _FINISH[completion.finish], "index": index}
        candidate |= _token(generation, completion)
        yield {"candidates": [candidate], **_metadata(exchange, usage), **tail}, size, True


def _leg_of(generation: Generation, completion: Answer) -> Answer:
    """The next leg of a long answer; the thoughts are in the first."""
    if (
        LONG_PHRASE not in generation.prompt.lower()
        or not completion.text
        or not generation.model.id.startswith("gemini-4")
    ):
        return completion
    begin, end = (len(completion.text) * number // _LEGS for number in (generation.leg, generation.leg + 1))
    thought = completion.reasoning_tokens if generation.leg == 0 else 0
    return msgspec.structs.replace(
        completion,
        text=completion.text[begin:end],
        reasoning=completion.reasoning if generation.leg == 0 else "",
        reasoning_tokens=thought,
        output_tokens=thought + tokens.count(completion.text[begin:end], generation.model),
        finish=completion.finish if generation.leg == _LEGS - 1 else "continuation",
    )


def _token(generation: Generation, completion: Answer) -> dict[str, Any]:
    return {"continuationToken": leg_token(generation.leg + 1)} if completion.finish == "continuation" else {}


def _parts(
    exchange: Exchange, generation: Generation, completion: Answer, *, thoughts: bool
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if completion.reasoning and thoughts:
        parts.append({"text": completion.reasoning, "thought": True})
    for number, call in enumerate(completion.calls):
        function: dict[str, Any] = {"name": call.name, "args": call.arguments}
        part: dict[str, Any] = {"functionCall": function}
        if _signs(generation):  # from Gemini 3 on calls have ids, and the first of a turn a signature
            function["id"] = exchange.ids.new("", 8)
            if number == 0:
                part["thoughtSignature"] = _signature(call.name)
        parts.append(part)
    if completion.text and completion.finish != "refusal":
        parts.append({"text": completion.text, **_text_signature(generation, completion)})
    return parts


def _text_signature(generation: Generation, completion: Answer) -> dict[str, str]:
    return (
        {"thoughtSignature": _signature(completion.text)}
        if _signs(generation) and completion.reasoning and completion.text
        else {}
    )


def _signs(generation: Generation) -> bool:
    return bool(generation.model.quirks.get("needs_thought_signature_on_replay"))


def _signature(of: str) -> str:
    digest = blake2b(of.encode(), digest_size=24).hexdigest().encode()
    return base64.b64encode(SIGNATURE_MARK + digest).decode()


def _feedback() -> dict[str, Any]:
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}


def _metadata(exchange: Exchange, usage: Usage, *, final: bool = True) -> dict[str, Any]:
    """Thoughts are counted beside candidates; chunks before the last count only the prompt."""
    if exchange.effects.drop_usage:
        return {}
    prompt = {
        "promptTokenCount": usage.input_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
        "totalTokenCount": usage.input_tokens + (usage.output_tokens if final else usage.reasoning),
    }
    if usage.cached:
        prompt["cachedContentTokenCount"] = usage.cached
        prompt["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cached}]
    if usage.reasoning:
        prompt["thoughtsTokenCount"] = usage.reasoning
    if final:
        prompt["candidatesTokenCount"] = usage.output_tokens - usage.reasoning
    return {"usageMetadata": prompt}


class _Framing:
    """SSE with CRLF, or without `alt=sse` one JSON array."""

    def __init__(self, *, sse: bool) -> None:
        self._sse = sse

    def framed(self, payloads: Iterator[tuple[dict[str, Any], int, bool]]) -> Iterator[Frame]:
        opened = False
        for payload, size, terminal in payloads:
            lead = b"" if self._sse else b",\r\n" if opened else b"["
            yield Frame(lead + self.single(payload), size, terminal)
            opened = True
        if not self._sse:
            yield Frame(b"]", 0, True)

    def single(self, payload: dict[str, Any]) -> bytes:
        return b"data: " + encode(payload) + b"\r\n\r\n" if self._sse else encode(payload)
