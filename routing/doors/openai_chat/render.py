"""Render an answer in OpenAI's shapes: `chat.completion`, and the chunks of a stream."""

import time
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import msgspec

from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared import sse
from routing.doors.shared.answer_facts import extra as extra_facts
from routing.doors.shared.answer_facts import who
from routing.doors.shared.errors import api_error
from routing.doors.shared.openai_errors import error_body
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.language.chat import (
    ChatResult,
    Choice,
    Finished,
    FinishReason,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from routing.pipeline import Answer
from routing.steps.settlement import Settled


class Shape(NamedTuple):
    """The caller's choices of form: usage in a chunk of its own, and the older `function_call`."""

    include_usage: bool = False
    speaks_functions: bool = False


def whole(
    answer: Answer, result: ChatResult, settled: Settled, shape: Shape, enhancement: Enhancement | None
) -> bytes:
    """The body of an answer that is not streamed."""
    return msgspec.json.encode(
        {
            "id": _completion_id(answer),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": settled.model_used,
            "choices": [
                _choice(index, choice, shape.speaks_functions) for index, choice in enumerate(result.choices)
            ],
            "usage": usage(settled),
            "service_tier": settled.service_tier or "default",
            "system_fingerprint": None,
            "x_routeplex": extra_facts(answer, settled, enhancement),
        }
    )


def usage(settled: Settled) -> dict[str, Any]:
    used = settled.usage
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            "cache_write_tokens": used.cache_write_tokens + used.cache_write_1h_tokens,
            "cache_write_1h_tokens": used.cache_write_1h_tokens,
            "audio_tokens": used.audio_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


async def stream(answer: Answer, shape: Shape, enhancement: Enhancement | None) -> AsyncGenerator[bytes]:
    """The frames of a stream, errors included."""
    chunks = _Chunks(answer, shape, enhancement)
    sent_at = time.monotonic()
    try:
        async with sse.Inflow(answer.batches()) as inflow:
            while (
                batch := await inflow.take(max(0.0, sent_at + sse.KEEP_ALIVE_S - time.monotonic()))
            ) is not None:
                ready = b"".join([chunks.frame(event) for event in batch])
                if not ready and time.monotonic() - sent_at >= sse.KEEP_ALIVE_S:
                    ready = sse.KEEP_ALIVE
                if ready:
                    yield ready
                    sent_at = time.monotonic()
    except Exception as exc:
        yield sse.event(error_body(api_error(exc))) + sse.DONE
        return
    yield sse.DONE


_BEGINNING = {"role": "assistant", "content": "", "refusal": None}


class _Chunks:
    """Turns events into chunks. The ends of choices wait for the settlement, which has usage and cost."""

    def __init__(self, answer: Answer, shape: Shape, enhancement: Enhancement | None) -> None:
        self._answer, self._enhancement = answer, enhancement
        self._include_usage, self._speaks_functions = shape
        self._opened: set[int] = set()
        self._finished: list[Finished] = []
        self._replays: Counter[int] = Counter()  # by choice
        self._customs: set[tuple[int, int]] = set()  # calls of custom tools, by choice and index
        self._base = {
            "id": _completion_id(answer),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": answer.facts.id,
            "service_tier": answer.service_tier or "default",
            "system_fingerprint": None,
        }
        # A text delta is by far the most frequent chunk: all of it but the text is written once.
        base = sse.event(self._base).decode().removesuffix("}\n\n")
        self._head = base + ',"choices":[{"index":0,"delta":{"content":'
        self._tail = '},"logprobs":null,"finish_reason":null}]' + (
            ',"usage":null' if shape.include_usage else ""
        )
        self._tail += "}\n\n"

    def frame(self, event: Any) -> bytes:
        match event:
            case TextDelta(choice=0) if 0 in self._opened:
                return f"{self._head}{sse.quoted(event.text)}{self._tail}".encode("ascii")
            case TextDelta():
                return self._delta(event.choice, {"content": event.text})
            case RefusalDelta():
                return self._delta(event.choice, {"refusal": event.text})
            case ToolCallDelta() if self._speaks_functions:
                return self._delta(event.choice, {"function_call": _function_delta(event)})
            case ToolCallDelta():
                return self._delta(event.choice, {"tool_calls": [self._call_delta(event)]})
            case ReasoningDelta(carried=reasoning) if reasoning is not None:
                number = self._replays[event.choice]
                self._replays[event.choice] += 1
                return self._delta(event.choice, replay.of_message([reasoning], number))
            case ReasoningDelta() if event.text:
                return self._delta(event.choice, {"reasoning_content": event.text})
            case LogprobsDelta():
                return self._delta(event.choice, {}, {"content": list(event.content), "refusal": None})
            case Finished():
                self._finished.append(event)
            case Settled():
                return self._end(event)
        return b""

    def _delta(self, choice: int, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        return self._role_chunks(choice) + self._chunk(choice, delta, logprobs)

    def _call_delta(self, delta: ToolCallDelta) -> dict[str, Any]:
        call: dict[str, Any] = {"index": delta.index}
        place = (delta.choice, delta.index)
        if delta.is_custom:
            self._customs.add(place)
        kind = "custom" if place in self._customs else "function"
        inner = {"input": delta.arguments} if kind == "custom" else {"arguments": delta.arguments}
        if delta.id is not None:
            call |= {"id": delta.id, "type": kind}
        if delta.name is not None:
            inner = {"name": delta.name} | inner
        return call | {kind: inner} | replay.of_call(delta.signature)

    def _role_chunks(self, choice: int) -> bytes:
        """The chunk that opens a choice, with its role; the first chunk of all names the model.

        Choices with lower numbers are opened first. Clients expect choices to begin in order, but with
        several upstream calls the second choice may answer before the first.
        """
        if choice in self._opened:
            return b""
        frames = []
        for number in range(choice + 1):
            if number not in self._opened:
                extra = {} if self._opened else {"x_routeplex": who(self._answer)}
                self._opened.add(number)
                frames.append(self._chunk(number, _BEGINNING, extra=extra))
        return b"".join(frames)

    def _end(self, settled: Settled) -> bytes:
        """The chunks with the finish reasons; usage is in the last or, with `include_usage`, after it."""
        finished = self._finished or [Finished(settled.finish_reason or "stop")]  # type: ignore[arg-type]
        summary = {
            "model": settled.model_used,  # after a rescue, not the model that began the stream
            "service_tier": settled.service_tier or "default",
            "usage": usage(settled),
            "x_routeplex": extra_facts(self._answer, settled, self._enhancement),
        }
        frames = [self._role_chunks(end.choice) for end in finished]
        for end in finished:
            extra = summary if end is finished[-1] and not self._include_usage else {}
            reason = _finish(end.reason, self._speaks_functions)
            frames.append(self._chunk(end.choice, {}, finish=reason, extra=extra))
        if self._include_usage:
            frames.append(sse.event(self._base | {"choices": []} | summary))
        return b"".join(frames)

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        logprobs: Any = None,
        finish: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> bytes:
        only = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        chunk = self._base | {"choices": [only]}
        if self._include_usage:
            chunk["usage"] = None
        return sse.event(chunk | (extra or {}))


def _finish(reason: FinishReason, speaks_functions: bool) -> str:
    if speaks_functions and reason is FinishReason.TOOL_CALLS:
        return "function_call"
    return str(reason)


def _choice(index: int, choice: Choice, speaks_functions: bool) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text if choice.text or not (choice.tool_calls or choice.refusal) else None,
        "refusal": choice.refusal,
        "annotations": [],
    }
    if choice.tool_calls and speaks_functions:
        first = choice.tool_calls[0]
        message["function_call"] = {"name": first.name, "arguments": first.arguments}
    elif choice.tool_calls:
        message["tool_calls"] = [replay.tool_call(call) for call in choice.tool_calls]
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    message |= replay.of_message(choice.carried)
    logprobs = None if choice.logprobs is None else {"content": list(choice.logprobs), "refusal": None}
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": _finish(choice.finish_reason, speaks_functions),
    }


def _function_delta(delta: ToolCallDelta) -> dict[str, Any]:
    call = {"arguments": delta.arguments}
    return call if delta.name is None else {"name": delta.name} | call


def _completion_id(answer: Answer) -> str:
    return "chatcmpl-" + answer.request_id.removeprefix("req_")
