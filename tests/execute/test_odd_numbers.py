"""Numbers in a provider's answer are bounded where they are decoded: none becomes a size or a loop."""

from typing import Any

import pytest

from billing.models import Request
from tests.conftest import Simulator
from tests.door_client import DoorClient
from tests.execute.odd_answers import answer, chat, frames
from tests.execute.test_rows import outcomes, whole

HUGE = 99_999_999_999_999_999_999


def _chat_choice(number: int) -> bytes:
    return frames(chat({"content": "Oslo."}, "stop", number), b"[DONE]")


def _chat_call(number: int) -> bytes:
    call = {"index": number, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    return frames(chat({"tool_calls": [call]}, "tool_calls"), b"[DONE]")


def _responses_item(number: int) -> bytes:
    return frames({"type": "response.output_text.delta", "output_index": number, "delta": "Oslo."})


def _claude_block(number: int) -> bytes:
    block = {"type": "text", "text": "Oslo."}
    return frames({"type": "content_block_start", "index": number, "content_block": block})


def _gemini_candidate(number: int) -> bytes:
    content = {"parts": [{"text": "Oslo."}]}
    return frames({"candidates": [{"content": content, "index": number, "finishReason": "STOP"}]})


@pytest.mark.parametrize(
    ("model", "stream"),
    [
        ("gpt-4o-mini", _chat_choice),
        ("gpt-4o-mini", _chat_call),
        ("gpt-5.5-pro", _responses_item),
        ("claude-haiku-4-5", _claude_block),
        ("gemini-2.5-flash", _gemini_candidate),
    ],
    ids=["chat-choice", "chat-call", "responses-item", "claude-block", "gemini-candidate"],
)
def test_row_30_a_number_out_of_bounds_is_as_a_malformed_chunk(
    streaming: DoorClient, simulator: Simulator, model: str, stream: Any
) -> None:
    answer(simulator, stream(HUGE), model=model)
    reply = streaming.ask(model=model)
    assert whole(reply)
    assert outcomes(reply) == ["failed", "ok"]
    assert reply.attempts[0]["error"] == "malformed"
    assert Request.objects.get(pk=reply.request_id).status == "succeeded"
