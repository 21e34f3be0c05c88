"""Answers as each provider sends them: thinking, text, interleaved calls, usage."""

import json
from typing import Any


def frames(*events: Any, named: bool = False, end: str = "\n\n") -> bytes:
    """Server-sent events; strings go out as they are."""
    out = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        name = f"event: {event['type']}{end[: len(end) // 2]}" if named else ""
        out.append(f"{name}data: {data}{end}")
    return "".join(out).encode()


def _delta(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "gpt-x",
        "choices": [choice],
    } | fields


def _piece(
    index: int, arguments: str, identity: str | None = None, name: str | None = None
) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"tool_calls": [{"index": index, "function": function} | ({"id": identity} if identity else {})]}


OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 30,
    "total_tokens": 130,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
OPENAI_CHAT = frames(
    _delta({"role": "assistant", "content": "", "refusal": None}, usage=None),
    _delta({"content": "Grüße 😀"}, usage=None, obfuscation="xYz"),
    _delta({"content": "!"}),
    _delta(_piece(0, "", "call_a", "get_weather")),
    _delta(_piece(0, '{"city":')),
    _delta(_piece(1, "", "call_b", "get_time")),
    _delta(_piece(0, '"Oslo"}')),
    _delta(_piece(1, "{}")),
    _delta({}, "tool_calls"),
    {"id": "chatcmpl-1", "model": "gpt-x", "choices": [], "usage": OPENAI_USAGE},
    "[DONE]",
)
OPENAI_CHAT_WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-x",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Grüße 😀!",
                "refusal": None,
                "tool_calls": [
                    {
                        "id": "call_a",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
                    },
                    {"id": "call_b", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": OPENAI_USAGE,
}

_REASONING = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
_SEALED = _REASONING | {"encrypted_content": "gAAA"}
_CONTENT = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Grüße 😀!"}],
}
_CALL_A = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_a",
    "name": "get_weather",
    "arguments": '{"city":"Oslo"}',
}
_CALL_B = {"type": "function_call", "id": "fc_2", "call_id": "call_b", "name": "get_time", "arguments": "{}"}
RESPONSES_WHOLE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-x",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "output": [_SEALED, _CONTENT, _CALL_A, _CALL_B],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 130,
    },
}
_BEGUN = RESPONSES_WHOLE | {"status": "in_progress", "output": [], "usage": None}
RESPONSES = frames(
    {"type": "response.created", "sequence_number": 0, "response": _BEGUN},
    {"type": "response.in_progress", "sequence_number": 1, "response": _BEGUN},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "rs_1", "type": "reasoning", "summary": []},
    },
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "Hm."},
    {"type": "response.output_item.done", "output_index": 0, "item": _SEALED},
    {"type": "response.output_item.added", "output_index": 1, "item": _CONTENT | {"content": []}},
    {"type": "response.content_part.added", "output_index": 1, "part": {"type": "output_text", "text": ""}},
    {"type": "response.output_text.delta", "output_index": 1, "delta": "Grüße 😀", "logprobs": []},
    {"type": "response.output_text.delta", "output_index": 1, "delta": "!"},
    {"type": "response.output_text.done", "output_index": 1, "text": "Grüße 😀!"},
    {"type": "response.output_item.done", "output_index": 1, "item": _CONTENT},
    {"type": "response.output_item.added", "output_index": 2, "item": _CALL_A | {"arguments": ""}},
    {"type": "response.output_item.added", "output_index": 3, "item": _CALL_B | {"arguments": ""}},
    {
        "type": "response.function_call_arguments.delta",
        "output_index": 2,
        "item_id": "fc_1",
        "delta": '{"city":',
    },
    {"type": "response.function_call_arguments.delta", "output_index": 3, "item_id": "fc_2", "delta": "{}"},
    {
        "type": "response.function_call_arguments.delta",
        "output_index": 2,
        "item_id": "fc_1",
        "delta": '"Oslo"}',
    },
    {"type": "response.function_call_arguments.done", "output_index": 2, "arguments": '{"city":"Oslo"}'},
    {"type": "response.output_item.done", "output_index": 2, "item": _CALL_A},
    {"type": "response.output_item.done", "output_index": 3, "item": _CALL_B},
    {"type": "response.completed", "sequence_number": 20, "response": RESPONSES_WHOLE},
    named=True,
)

_THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
ANTHROPIC_WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        _THOUGHT,
        {"type": "text", "text": "Grüße 😀!"},
        {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_b", "name": "get_time", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
        "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 12},
    },
}
ANTHROPIC = frames(
    {
        "type": "message_start",
        "message": ANTHROPIC_WHOLE
        | {"content": [], "stop_reason": None, "usage": ANTHROPIC_WHOLE["usage"] | {"output_tokens": 1}},  # type: ignore[operator]
    },
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Grüße 😀"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "!"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"city":'},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '"Oslo"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_b", "name": "get_time", "input": {}},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"input_tokens": 30, "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 12}},
    },
    {"type": "message_stop"},
    named=True,
)


def _parts(*parts: dict[str, Any], finish: str | None = None, **usage: int) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x", "responseId": "r1"}


_COUNTS = {"promptTokenCount": 90, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 10}
_SIGNED_CALL = {
    "functionCall": {"name": "get_weather", "args": {"city": "Oslo"}, "id": "fn_1"},
    "thoughtSignature": "c2ln",
}
_PLAIN_CALL = {"functionCall": {"name": "get_time", "args": {}, "id": "fn_2"}}
_THOUGHTS = {"text": "Hm.", "thought": True}
GEMINI = frames(
    _parts(_THOUGHTS, **_COUNTS, thoughtsTokenCount=12),
    _parts({"text": "Grüße 😀"}, **_COUNTS, candidatesTokenCount=4, thoughtsTokenCount=12),
    _parts({"text": "!"}, _SIGNED_CALL, **_COUNTS, candidatesTokenCount=9, thoughtsTokenCount=12),
    _parts(_PLAIN_CALL, finish="STOP", **_COUNTS, candidatesTokenCount=18, thoughtsTokenCount=12),
    end="\r\n\r\n",
)
GEMINI_WHOLE = _parts(
    _THOUGHTS,
    {"text": "Grüße 😀!"},
    _SIGNED_CALL,
    _PLAIN_CALL,
    finish="STOP",
    **_COUNTS,
    candidatesTokenCount=18,
    thoughtsTokenCount=12,
)
