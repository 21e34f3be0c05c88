"""Render an answer in the native shapes: the whole body, and the events of a stream."""

import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from core.errors import ApiError
from routing.doors.native.sentence_pacer import SentencePacer
from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared import sse
from routing.doors.shared.answer_facts import fidelity, routing, usd
from routing.doors.shared.errors import api_error, meta
from routing.doors.shared.native.schema import StreamMode
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.language.chat import ChatResult, RefusalDelta, TextDelta, ToolCallDelta
from routing.pipeline import Answer
from routing.steps.settlement import Settled


def whole(answer: Answer, result: ChatResult, settled: Settled, enhancement: Enhancement | None) -> bytes:
    """The body of an answer that is not streamed."""
    choice = result.choices[0] if result.choices else None
    calls = choice.tool_calls if choice else ()
    data: dict[str, Any] = {
        "id": answer.request_id,
        "output": (choice.text or choice.refusal or "") if choice else "",
        "model_used": settled.model_used,
        "provider": settled.provider,
        "routing_mode": str(answer.mode),
        "strategy": str(answer.strategy),
        "fallback_used": settled.fallback_used,
        "finish_reason": settled.finish_reason,
        "latency_ms": settled.latency_ms,
        "usage": usage(settled),
        "tool_calls": [replay.tool_call(call) for call in calls] if calls else None,
        "routing": routing(answer.decision, settled) | {"fidelity": fidelity(settled)},
    }
    if enhancement is not None:
        data["enhancement"] = msgspec.to_builtins(enhancement)
    return msgspec.json.encode({"success": True, "data": data, "meta": meta(answer.request_id)})


def usage(settled: Settled) -> dict[str, Any]:
    used = settled.usage
    return {
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "total_tokens": used.total_tokens,
        "cached_input_tokens": used.cache_read_tokens,
        "internal_reasoning_tokens": used.reasoning_tokens,
        "cost_usd": usd(settled.cost_usd),
    }


async def stream(answer: Answer, mode: StreamMode, enhancement: Enhancement | None) -> AsyncGenerator[bytes]:
    """The frames of a stream, errors included."""
    started = {
        "type": "start",
        "request_id": answer.request_id,
        "model": answer.facts.id,
        "provider": answer.facts.provider,
    }
    yield sse.event(started)
    frames = _Frames(answer, mode, enhancement)
    try:
        async with sse.Inflow(answer.batches()) as inflow:
            while (batch := await inflow.take(frames.patience_s())) is not None:
                if ready := frames.of(batch):
                    yield ready
    except Exception as exc:
        yield frames.rest() + _error(api_error(exc)) + sse.DONE
        return
    yield frames.rest() + sse.DONE


class _Frames:
    """Turns batches of events into bytes to send, at the pace of the mode."""

    def __init__(self, answer: Answer, mode: StreamMode, enhancement: Enhancement | None) -> None:
        self._answer, self._enhancement = answer, enhancement
        self._pacer = SentencePacer() if mode is StreamMode.BUFFERED else None
        self._calls: dict[int, tuple[str, str]] = {}
        self._sent_at = time.monotonic()

    def patience_s(self) -> float:
        """Seconds to wait for more events before held text or a keep-alive must be sent."""
        now = time.monotonic()
        silent = self._sent_at + sse.KEEP_ALIVE_S - now
        due = self._pacer.due_s(now) if self._pacer else None
        return max(0.0, silent if due is None else min(silent, due))

    def of(self, batch: list[Any]) -> bytes:
        now = time.monotonic()
        ready = b"".join([self._frame(event, now) for event in batch])
        if self._pacer is not None and (text := self._pacer.take(now)):
            ready += _delta(text)
        if not ready and now - self._sent_at >= sse.KEEP_ALIVE_S:
            ready = sse.KEEP_ALIVE
        if ready:
            self._sent_at = now
        return ready

    def rest(self) -> bytes:
        """The text that is still held back, sentence by sentence."""
        return b"".join([_delta(text) for text in self._pacer.rest()]) if self._pacer else b""

    def _frame(self, event: Any, now: float) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                if self._pacer is None:
                    return _delta(event.text) if event.text else b""
                self._pacer.add(event.text, now)
            case ToolCallDelta():
                return self.rest() + self._tool_call(event)
            case Settled():
                return self.rest() + sse.event(self._done(event))
        return b""

    def _tool_call(self, delta: ToolCallDelta) -> bytes:
        known = self._calls.get(delta.index, ("", ""))
        call_id, name = self._calls[delta.index] = (delta.id or known[0], delta.name or known[1])
        return sse.event(
            {
                "type": "tool_call",
                "index": delta.index,
                "id": call_id,
                "name": name,
                "arguments": delta.arguments,
                **({"is_custom": True} if delta.is_custom else {}),
                **replay.of_call(delta.signature),
            }
        )

    def _done(self, settled: Settled) -> dict[str, Any]:
        event: dict[str, Any] = {
            "type": "done",
            "model_used": settled.model_used,
            "provider": settled.provider,
            "usage": usage(settled),
            "finish_reason": settled.finish_reason,
            "latency_ms": settled.latency_ms,
            "fallback_used": settled.fallback_used,
            "routing": routing(self._answer.decision, settled) | {"fidelity": fidelity(settled)},
        }
        if self._enhancement is not None:
            event["enhancement"] = msgspec.to_builtins(self._enhancement)
        return event


def _delta(text: str) -> bytes:
    return f'data: {{"type":"delta","content":{sse.quoted(text)}}}\n\n'.encode("ascii")


def _error(error: ApiError) -> bytes:
    return sse.event({"type": "error", "code": error.code, "message": error.message})
