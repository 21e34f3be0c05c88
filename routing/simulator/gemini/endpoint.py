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
from routing.simulator.shared.prompt import BLOCK_PHRASE, LONG_PHRASE, Answer, Ask, Usage
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
    ask = read_request(body, exchange.path_model, version, method)
    check_prompt(ask)
    measured = measure(ask, exchange.cache)
    blocked = any(BLOCK_PHRASE in turn.text.lower() for turn in ask.turns if turn.role == "user")
    composed = [compose(ask, index, exchange.twist.manner) for index in range(ask.n)]
    answers = [] if blocked else [_leg_of(ask, said) for said in composed]
    usage = usage_of(measured, answers)
    tail = {
        "modelVersion": named_model(exchange, ask.model.id),
        "responseId": exchange.ids.new("", 22),
    }
    reply = Reply(ask.model, usage, response_headers())
    thoughts = wants_thoughts(body)
    if exchange.streamed:
        framing = _Framing(sse=exchange.request.query.get("alt") == "sse")
        frames = framing.framed(_payloads(exchange, ask, answers, usage, tail, thoughts=thoughts))
        broken = b'data: {"candidates": [{"content": {"parts": [{"text"\r\n\r\n'
        return msgspec.structs.replace(reply, frames=frames, broken=broken, error=framing.single(_ERROR))
    whole: dict[str, Any] = _feedback() if blocked else {}
    if answers:
        whole["candidates"] = [
            {
                "content": {"parts": _parts(exchange, ask, said, thoughts=thoughts), "role": "model"},
                "finishReason": _FINISH[said.finish],
                "index": index,
                **_token(ask, said),
            }
            for index, said in enumerate(answers)
        ]
    whole |= {**_metadata(exchange, usage), **tail}
    return msgspec.structs.replace(reply, body=encode(whole), error=encode(_ERROR))


def count_tokens(exchange: Exchange) -> bytes:
    check_key(exchange.request)
    body: dict[str, Any] = camel(exchange.body)
    version = exchange.request.path.split("/")[1]
    inner = body.get("generateContentRequest") or body
    ask = read_request(inner, exchange.path_model, version, "countTokens")
    total = input_tokens(ask)
    return encode({"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]})


def response_headers() -> Headers:
    return [
        ("server", "scaffolding on HTTPServer2"),
        ("server-timing", "gfet4t7; dur=320"),
        ("vary", "Origin, X-Origin, Referer"),
    ]


def _payloads(
    exchange: Exchange, ask: Ask, answers: list[Answer], usage: Usage, tail: dict[str, Any], *, thoughts: bool
) -> Iterator[tuple[dict[str, Any], int, bool]]:
    """The chunks of a stream, with their tokens and whether they end the answer."""
    if not answers:
        yield {**_feedback(), **_metadata(exchange, usage), **tail}, 0, True
        return
    for index, said in enumerate(answers):
        parts = _parts(exchange, ask, said, thoughts=thoughts)
        texts = (
            chunks_of(said, tokens.pieces(said.text), _PIECES_A_CHUNK)
            if said.text and said.finish != "refusal"
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
        last_part = {"text": last_text, **_text_signature(ask, said)}
        content = {"parts": [last_part] if said.finish != "refusal" else [], "role": "model"}
        candidate = {"content": content, "finishReason": _FINISH[said.finish], "index": index}
        candidate |= _token(ask, said)
        yield {"candidates": [candidate], **_metadata(exchange, usage), **tail}, size, True


def _leg_of(ask: Ask, said: Answer) -> Answer:
    """The part of a long answer that is due; the thoughts are in the first."""
    if LONG_PHRASE not in ask.prompt.lower() or not said.text or not ask.model.id.startswith("gemini-4"):
        return said
    begin, end = (len(said.text) * number // _LEGS for number in (ask.leg, ask.leg + 1))
    thought = said.reasoning_tokens if ask.leg == 0 else 0
    return msgspec.structs.replace(
        said,
        text=said.text[begin:end],
        reasoning=said.reasoning if ask.leg == 0 else "",
        reasoning_tokens=thought,
        output_tokens=thought + tokens.count(said.text[begin:end], ask.model),
        finish=said.finish if ask.leg == _LEGS - 1 else "continuation",
    )


def _token(ask: Ask, said: Answer) -> dict[str, Any]:
    return {"continuationToken": leg_token(ask.leg + 1)} if said.finish == "continuation" else {}


def _parts(exchange: Exchange, ask: Ask, said: Answer, *, thoughts: bool) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if said.reasoning and thoughts:
        parts.append({"text": said.reasoning, "thought": True})
    for number, call in enumerate(said.calls):
        function: dict[str, Any] = {"name": call.name, "args": call.arguments}
        part: dict[str, Any] = {"functionCall": function}
        if _signs(ask):  # from Gemini 3 on calls have ids, and the first of a turn a signature
            function["id"] = exchange.ids.new("", 8)
            if number == 0:
                part["thoughtSignature"] = _signature(call.name)
        parts.append(part)
    if said.text and said.finish != "refusal":
        parts.append({"text": said.text, **_text_signature(ask, said)})
    return parts


def _text_signature(ask: Ask, said: Answer) -> dict[str, str]:
    return {"thoughtSignature": _signature(said.text)} if _signs(ask) and said.reasoning and said.text else {}


def _signs(ask: Ask) -> bool:
    return bool(ask.model.quirks.get("needs_thought_signature_on_replay"))


def _signature(of: str) -> str:
    digest = blake2b(of.encode(), digest_size=24).hexdigest().encode()
    return base64.b64encode(SIGNATURE_MARK + digest).decode()


def _feedback() -> dict[str, Any]:
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}


def _metadata(exchange: Exchange, usage: Usage, *, final: bool = True) -> dict[str, Any]:
    """Thoughts stand beside candidates here; chunks before the last know only the prompt."""
    if exchange.twist.drop_usage:
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
