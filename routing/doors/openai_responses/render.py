"""Render an answer in the shapes of OpenAI's Responses: the response object, and the events of a stream."""

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from core.errors import ApiError
from routing.doors.openai_responses import stored
from routing.doors.openai_responses.schema import ResponsesCall
from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared import sse
from routing.doors.shared.answer_facts import extra, who
from routing.doors.shared.errors import api_error
from routing.doors.shared.opaque import encode_opaque
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.language.chat import (
    Finished,
    FinishReason,
    LogprobsDelta,
    Opaque,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from routing.pipeline import Answer
from routing.steps.settlement import Settled

Event = dict[str, Any]

_CUT_SHORT = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}
_ERROR_CODES = {
    400: "invalid_prompt",
    429: "rate_limit_exceeded",
}  # codes that clients know


async def whole(
    answer: Answer, call: ResponsesCall, enhancement: Enhancement | None
) -> tuple[bytes, Settled]:
    """The body of an answer that is not streamed: the response in the last event of its stream."""
    response = _Response(answer, call, enhancement)
    settled: Settled | None = None
    async with aclosing(answer.events()) as events:
        async for event in events:
            if isinstance(event, Settled):
                settled = event
            for _ in response.events(event):
                pass
    assert settled is not None, "an answer ends with its settlement or an error"
    await response.keep()
    return msgspec.json.encode(response.body), settled


async def stream(
    answer: Answer, call: ResponsesCall, enhancement: Enhancement | None
) -> AsyncGenerator[bytes]:
    """The frames of a stream, errors included."""
    response, frames = _Response(answer, call, enhancement), _Frames()
    try:
        async with sse.Inflow(answer.batches()) as inflow:
            yield frames.of(response.begin())
            sent_at = time.monotonic()
            while (
                batch := await inflow.take(max(0.0, sent_at + sse.KEEP_ALIVE_S - time.monotonic()))
            ) is not None:
                ready = b"".join([frames.of(response.events(event)) for event in batch])
                if not ready and time.monotonic() - sent_at >= sse.KEEP_ALIVE_S:
                    ready = sse.KEEP_ALIVE
                if response.is_complete:
                    await response.keep()  # before the client knows that it can refer to it
                if ready:
                    yield ready
                    sent_at = time.monotonic()
    except Exception as exc:
        yield frames.of(response.fail(api_error(exc)))


def usage(settled: Settled) -> dict[str, Any]:
    used = settled.usage
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            "cache_write_tokens": used.cache_write_tokens + used.cache_write_1h_tokens,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.total_tokens,
    }


class _Frames:
    """Writes events with their numbers."""

    def __init__(self) -> None:
        self._number = 0

    def of(self, events: Iterator[Event]) -> bytes:
        return b"".join([self._frame(event) for event in events])

    def _frame(self, event: Event) -> bytes:
        numbered = {"type": event["type"], "sequence_number": self._number} | event
        self._number += 1
        return f"event: {event['type']}\n".encode("ascii") + sse.event(numbered)


class _Response:
    """The response object while it is built; `body` is its current state."""

    def __init__(self, answer: Answer, call: ResponsesCall, enhancement: Enhancement | None) -> None:
        self._answer, self._enhancement = answer, enhancement
        self._record = call.record
        self._output = _Output(answer.request_id.removeprefix("req_"), call)
        self._finish: FinishReason | None = None
        self.body: dict[str, Any] = {
            "id": "resp_" + answer.request_id.removeprefix("req_"),
            "object": "response",
            "created_at": int(time.time()),
            "completed_at": None,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": answer.facts.id,
            "output": [],
            "reasoning": {
                "effort": call.reasoning.effort or answer.arm.effort,
                "summary": call.reasoning.summary,
            },
            "x_routeplex": who(answer),
            **call.echo,
            "store": call.record is not None,
            "service_tier": answer.service_tier or "default",
        }

    @property
    def is_complete(self) -> bool:
        return "usage" in self.body

    async def keep(self) -> None:
        """Keep the response, if the caller lets it, for requests that refer to it."""
        record, self._record = self._record, None
        await stored.keep(record, self.body["id"], self.body["output"])

    def begin(self) -> Iterator[Event]:
        yield {"type": "response.created", "response": self.body}
        yield {"type": "response.in_progress", "response": self.body}

    def events(self, event: Any) -> Iterator[Event]:
        match event:
            case Finished():
                self._finish = event.reason
            case Settled():
                yield from self._end(event)
            case _:
                yield from self._output.of(event)

    def fail(self, error: ApiError) -> Iterator[Event]:
        """The events of an error. Items that had begun stay unfinished."""
        code = _ERROR_CODES.get(error.status, "server_error")
        self.body |= {
            "status": "failed",
            "error": {"code": code, "message": error.message},
            "output": self._output.items,
        }
        yield {"type": "response.failed", "response": self.body}

    def _end(self, settled: Settled) -> Iterator[Event]:
        finish = self._finish or FinishReason(settled.finish_reason or "stop")
        why = _CUT_SHORT.get(finish)
        status = "completed" if why is None else "incomplete"
        yield from self._output.close(status)
        self.body |= {
            "status": status,
            "completed_at": int(time.time()) if why is None else None,
            "incomplete_details": None if why is None else {"reason": why},
            "model": settled.model_used,  # after a rescue, not the model that began the stream
            "output": self._output.items,
            "usage": usage(settled),
            "service_tier": settled.service_tier or "default",
            "x_routeplex": extra(self._answer, settled, self._enhancement),
        }
        yield {"type": f"response.{status}", "response": self.body}


class _Output:
    """Turns an answer's events into output items, one open at a time, and the events that announce them."""

    def __init__(self, identity: str, call: ResponsesCall) -> None:
        self.items: list[dict[str, Any]] = []
        self._identity, self._namespaces = identity, call.namespaces
        self._shows_summary = call.reasoning.summary is not None
        self._open: dict[str, Any] | None = None  # the last item while it is open
        self._pieces: list[str] = []  # of the open part, or of the open call
        self._logprobs: list[dict[str, Any]] = []  # of the open part
        self._part: str | None = None  # the type of the open part
        self._calls: dict[int, dict[str, Any]] = {}  # index among the calls → item
        self._held: list[Opaque] = []  # reasoning that may only follow the open message

    def of(self, event: Any) -> Iterator[Event]:
        match event:
            case TextDelta():
                yield from self._say("output_text", event.text)
            case RefusalDelta():
                yield from self._say("refusal", event.text)
            case ReasoningDelta():
                yield from self._think(event)
            case LogprobsDelta():
                self._logprobs.extend(event.content)
            case ToolCallDelta():
                yield from self._call(event)

    def close(self, status: str = "completed") -> Iterator[Event]:
        """End the open item, if there is one."""
        item = self._open
        if item is None:
            return
        if item["type"] == "function_call":
            item["arguments"] = "".join(self._pieces) or "{}"
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **self._place(item), **done}
        elif item["type"] == "custom_tool_call":
            item["input"] = "".join(self._pieces)
            yield {
                "type": "response.custom_tool_call_input.done",
                **self._place(item),
                "input": item["input"],
            }
        else:
            yield from self._end_part()
        self._open, self._pieces = None, []
        if "status" in item:
            item["status"] = status
        yield self._item_event("done", item)
        held, self._held = self._held, []
        for reasoning in held:
            yield from self._replay(reasoning)

    def _say(self, kind: str, text: str) -> Iterator[Event]:
        if self._open is None or self._open["type"] != "message":
            body = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
            yield from self._begin("msg", body)
        item = self._open
        assert item is not None
        if self._part != kind:
            yield from self._end_part()
            yield from self._begin_part(kind)
        self._pieces.append(text)
        place = self._place(item) | {"content_index": len(item["content"])}
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield {"type": f"response.{kind}.delta", **place, "delta": text, **more}

    def _think(self, event: ReasoningDelta) -> Iterator[Event]:
        if event.text and self._shows_summary:
            if self._open is None or self._open["type"] != "reasoning":
                yield from self._begin("rs", {"type": "reasoning", "summary": []})
            item = self._open
            assert item is not None
            if self._part is None:
                yield from self._begin_part("summary_text")
            self._pieces.append(event.text)
            place = self._place(item) | {"summary_index": len(item["summary"])}
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": event.text}
        if event.carried is not None and self._open is not None and self._open["type"] == "message":
            self._held.append(event.carried)
        elif event.carried is not None:
            yield from self._replay(event.carried)

    def _replay(self, reasoning: Opaque) -> Iterator[Event]:
        """Reasoning that the provider wants back, encoded for the client to send again."""
        if self._open is None or self._open["type"] != "reasoning":
            yield from self._begin("rs", {"type": "reasoning", "summary": []})
        assert self._open is not None
        self._open["encrypted_content"] = encode_opaque(reasoning)
        yield from self.close()

    def _call(self, event: ToolCallDelta) -> Iterator[Event]:
        item = self._calls.get(event.index)
        if item is None:
            named = {"call_id": event.id or "", **self._named(event.name or "")}
            if event.is_custom:
                body = {"type": "custom_tool_call", **named, "input": ""}
            else:
                body = {"type": "function_call", "status": "in_progress", **named, "arguments": ""}
            prefix = "ctc" if event.is_custom else "fc"
            yield from self._begin(prefix, body | replay.of_call(event.signature))
            item = self._calls[event.index] = self.items[-1]
        if not event.arguments:
            return
        if item is self._open:
            self._pieces.append(event.arguments)
        else:  # a provider that streams several calls at once
            written = "input" if item["type"] == "custom_tool_call" else "arguments"
            before = "" if item[written] == "{}" else item[written]  # "{}" stands for no arguments so far
            item[written] = before + event.arguments
        kind = "custom_tool_call_input" if item["type"] == "custom_tool_call" else "function_call_arguments"
        yield {"type": f"response.{kind}.delta", **self._place(item), "delta": event.arguments}

    def _named(self, name: str) -> dict[str, Any]:
        """The name, and the namespace, by which the caller knows the tool."""
        if name not in self._namespaces:
            return {"name": name}
        namespace, inner = self._namespaces[name]
        return {"namespace": namespace, "name": inner}

    def _begin(self, prefix: str, body: dict[str, Any]) -> Iterator[Event]:
        yield from self.close()
        self._open = {"id": f"{prefix}_{self._identity}_{len(self.items)}", **body}
        self.items.append(self._open)
        yield self._item_event("added", self._open)

    def _begin_part(self, kind: str) -> Iterator[Event]:
        item = self._open
        assert item is not None
        self._part, self._pieces = kind, []
        yield self._part_event("added", item, _part(kind, ""))

    def _end_part(self) -> Iterator[Event]:
        item, kind = self._open, self._part
        if item is None or kind is None:
            return
        text = "".join(self._pieces)
        logprobs, self._logprobs = self._logprobs, []
        part = _part(kind, text, logprobs)
        if kind == "summary_text":
            place = self._place(item) | {"summary_index": len(item["summary"])}
            yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
        else:
            place = self._place(item) | {"content_index": len(item["content"])}
            content = {"text": text, "logprobs": logprobs} if kind == "output_text" else {"refusal": text}
            yield {"type": f"response.{kind}.done", **place, **content}
        yield self._part_event("done", item, part)
        item["summary" if kind == "summary_text" else "content"].append(part)
        self._part, self._pieces = None, []

    def _item_event(self, what: str, item: dict[str, Any]) -> Event:
        return {"type": f"response.output_item.{what}", "output_index": self._index(item), "item": item}

    def _part_event(self, what: str, item: dict[str, Any], part: dict[str, Any]) -> Event:
        place = self._place(item)
        if item["type"] == "reasoning":
            place["summary_index"] = len(item["summary"])
            return {"type": f"response.reasoning_summary_part.{what}", **place, "part": part}
        place["content_index"] = len(item["content"])
        return {"type": f"response.content_part.{what}", **place, "part": part}

    def _place(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"item_id": item["id"], "output_index": self._index(item)}

    def _index(self, item: dict[str, Any]) -> int:
        return int(item["id"].rpartition("_")[2])


def _part(kind: str, text: str, logprobs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    match kind:
        case "output_text":
            return {"type": kind, "text": text, "annotations": [], "logprobs": list(logprobs)}
        case "refusal":
            return {"type": kind, "refusal": text}
    return {"type": kind, "text": text}
