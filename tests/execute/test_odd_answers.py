"""Answers that arrive but are odd: dead streams kept alive, damaged frames, and other servers' habits."""

import json
import re
import time
from typing import Any

import httpx
import pytest

from billing.models import Attempt, Request
from tests.conftest import Simulator
from tests.door_client import ChatClient, DoorClient
from tests.execute.odd_answers import answer, chat, frames
from tests.execute.test_rows import ANSWER, outcomes, whole

MODEL = "gpt-4o-mini"
BEGUN = frames(chat({"role": "assistant", "content": ""}), chat({"content": "The capital of"}))
LAMP = {
    "type": "function",
    "function": {
        "name": "lamp",
        "description": "Lights a lamp",
        "parameters": {"type": "object", "properties": {}},
    },
}
DEAD = {
    "comments": b": ping\n\n",
    "pings as data": b"data: ping\n\n",
    "empty data": b"data:\n\n",
    "empty objects": b"data: {}\n\n",
    "empty deltas": frames(chat({})),
    "empty words": frames(chat({"content": ""})),
    "empty tool calls": frames(chat({"tool_calls": []})),
}


@pytest.mark.parametrize("beat", DEAD.values(), ids=DEAD.keys())
def test_row_34_a_stream_of_pings_is_as_a_stall(
    http: httpx.Client, simulator: Simulator, beat: bytes
) -> None:
    answer(simulator, BEGUN, beat, endless=True, delay_s=0.1)
    began = time.monotonic()
    reply = ChatClient(http, True).ask(model=MODEL)
    assert whole(reply)
    assert time.monotonic() - began < 5, "at the idle deadline"
    assert outcomes(reply) == ["partial", "ok"]


CLAUDE_BEGUN = frames(
    {"type": "message_start", "message": {"id": "m", "model": "claude-haiku-4-5", "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "The capital of"}},
)


def test_row_34_anthropics_pings_are_pings(streaming: DoorClient, simulator: Simulator) -> None:
    ping = frames({"type": "ping"})
    answer(simulator, CLAUDE_BEGUN, ping, model="claude-haiku-4-5", endless=True, delay_s=0.1)
    began = time.monotonic()
    assert whole(streaming.ask(model="claude-haiku-4-5"))
    assert time.monotonic() - began < 5


# In a field that no decoder reads, whose types therefore don't end the nesting
DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000

GARBLED = {
    "leading NUL": b"\x00" + frames(chat({"content": " Norway"})),
    "NUL in the data": frames(b"\x00" + json.dumps(chat({"content": " Norway"})).encode()),
    "invalid UTF-8": frames(json.dumps(chat({"content": "XX"})).encode().replace(b"XX", b"\xff")),
    "nested 50,000 deep": frames(DEEP),
}


@pytest.mark.parametrize("frame", GARBLED.values(), ids=GARBLED.keys())
def test_row_34_a_damaged_frame_is_as_a_cut(
    streaming: DoorClient, simulator: Simulator, frame: bytes
) -> None:
    answer(simulator, BEGUN, frame, frames(chat({"content": " is Oslo."}, "stop"), b"[DONE]"))
    reply = streaming.ask(model=MODEL)
    assert whole(reply)
    assert outcomes(reply) == ["partial", "ok"]
    assert reply.attempts[0]["error"] == "malformed"
    assert Request.objects.get(pk=reply.request_id).status == "succeeded"


def test_row_34_an_answer_nested_50_000_deep_is_replaced(caller: DoorClient, simulator: Simulator) -> None:
    body, kind = (frames(DEEP), "text/event-stream") if caller.streamed else (DEEP, "application/json")
    answer(simulator, body, media_type=kind)
    reply = caller.ask(model=MODEL)
    assert whole(reply)
    assert outcomes(reply) == ["failed", "ok"]
    failed = Attempt.objects.get(request_id=reply.request_id, number=1)
    assert (failed.outcome, failed.error_kind) == ("failed", "malformed")


def test_an_unknown_finish_word_neither_discards_nor_extends_an_answer(
    caller: DoorClient, simulator: Simulator
) -> None:
    body, kind = frames(chat({"content": ANSWER}), chat({}, "finito"), b"[DONE]"), "text/event-stream"
    if not caller.streamed:
        choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "finito"}
        body, kind = json.dumps({"id": "c", "model": MODEL, "choices": [choice]}).encode(), "application/json"
    answer(simulator, body, media_type=kind)
    reply = caller.ask(model=MODEL)
    assert whole(reply)
    assert reply.finish in ("stop", "completed", "end_turn")
    assert len(simulator.calls()) == 1
    assert outcomes(reply) == ["ok"]


def call(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": fields.pop("name")} if "name" in fields else {})
    return chat({"tool_calls": [{"index": index, "function": function} | fields]})


ODD_CALLS = {
    "one index for both": [
        call(0, '{"room":"attic"}', id="a", name="lamp"),
        call(0, '{"room":"kitchen"}', id="b", name="lamp"),
    ],
    "late names, indices from 3": [
        call(3, '{"room":', id="a"),
        call(3, '"attic"}', name="lamp"),
        call(7, '{"room":"kitchen"}', id="b", name="lamp"),
    ],
}


@pytest.mark.parametrize("chunks", ODD_CALLS.values(), ids=ODD_CALLS.keys())
def test_row_34_odd_tool_calls_reach_the_caller_whole(
    streaming: DoorClient, simulator: Simulator, chunks: list[dict[str, Any]]
) -> None:
    answer(simulator, frames(*chunks, chat({}, "tool_calls"), b"[DONE]"))
    body, headers = streaming.request(
        [{"role": "user", "content": "Light both."}], {"model": MODEL, "tools": [LAMP]}
    )
    response = streaming.http.post(streaming.path, json=body, headers=headers)
    assert response.status_code == 200
    text = response.text.replace('\\"', '"')
    assert all(part in text for part in ('"lamp"', "attic", "kitchen", '"a"', '"b"')), "both calls, by id"
    assert not re.search(r'"index": ?[37]\b', text), "numbered from 0"
    rows = list(Attempt.objects.filter(request_id=response.headers["x-request-id"]))
    assert [row.outcome for row in rows] == ["ok"]


def test_chat_completions_shows_reasoning(http: httpx.Client, simulator: Simulator) -> None:
    thought = chat({"reasoning_content": "Norway's capital? Oslo."})
    answer(simulator, frames(thought, chat({"content": "Oslo."}, "stop"), b"[DONE]"))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Which city?"}], "stream": True}
    lines = http.post("/v1/chat/completions", json=body).text.split("\n\n")
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [d["reasoning_content"] for d in deltas if "reasoning_content" in d] == ["Norway's capital? Oslo."]
    message = {"role": "assistant", "content": "Oslo.", "reasoning_content": "Norway's capital? Oslo."}
    whole_body = {"id": "c", "model": MODEL, "choices": [{"index": 0, "message": message}]}
    answer(simulator, json.dumps(whole_body).encode(), media_type="application/json")
    shown = http.post("/v1/chat/completions", json=body | {"stream": False}).json()["choices"][0]["message"]
    assert (shown["content"], shown["reasoning_content"]) == ("Oslo.", "Norway's capital? Oslo.")
