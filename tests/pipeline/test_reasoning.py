"""Reasoning between turns with tool calls, for callers whose clients drop the field that carries it."""

import secrets
import time
from typing import Any

import httpx
import pytest

from routing.language.chat import (
    ChatRequest,
    Message,
    Opaque,
    ReasoningDelta,
    Role,
    Text,
    ToolCall,
    ToolCallDelta,
)
from routing.state import reasoning
from routing.state.encrypted_store import MemoryStore, RedisStore
from routing.state.reasoning import Reasoning
from tests.conftest import Simulator
from tests.redis_server import RedisServer

THINKERS = {"claude-opus-5": "anthropic", "gemini-3.5-flash": "google", "gpt-6.2-sol": "openai"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
QUESTION = {"role": "user", "content": "What is the weather in Oslo and Rome?"}


def ask(http: httpx.Client, model: str, *messages: Any, **fields: Any) -> Any:
    body = {"model": model, "messages": [QUESTION, *messages], "tools": TOOLS, "reasoning_effort": "high"}
    response = http.post("/v1/chat/completions", json=body | fields)
    assert response.status_code == 200, response.text
    return response


def called(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The turn as most clients send it back, and the results of its calls."""
    calls = [
        {"id": call["id"], "type": "function", "function": call["function"]} for call in message["tool_calls"]
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "4 °C"} for call in calls]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


def verdict(body: dict[str, Any]) -> str | None:
    parameters = body["x_routeplex"]["fidelity"]["parameters"]
    return {item["parameter"]: item["verdict"] for item in parameters}.get("reasoning")


@pytest.mark.parametrize("model", THINKERS)
def test_reasoning_a_client_drops_goes_back_to_its_provider(
    http: httpx.Client, simulator: Simulator, model: str
) -> None:
    message = ask(http, model).json()["choices"][0]["message"]
    assert verdict(ask(http, model, *called(message)).json()) == "honoured"
    sent = str(simulator.calls()[-1]["body"])
    assert any(word in sent for word in ("signature", "thoughtSignature", "encrypted_content"))
    assert "c2tpcF90aG91Z2h0" not in sent, "no stand-in where the real signature is known"


@pytest.mark.parametrize("model", THINKERS)
def test_streamed_reasoning_goes_back_too(http: httpx.Client, model: str) -> None:
    import openai

    client = openai.OpenAI(
        base_url=f"{http.base_url}/v1", api_key=http.headers["authorization"].removeprefix("Bearer ")
    )
    fields: Any = {"model": model, "messages": [QUESTION], "tools": TOOLS, "reasoning_effort": "high"}
    with client.chat.completions.stream(**fields) as stream:
        message = stream.get_final_completion().choices[0].message.model_dump()
    assert verdict(ask(http, model, *called(message)).json()) == "honoured"


@pytest.mark.parametrize("before", THINKERS)
@pytest.mark.parametrize("after", THINKERS)
def test_the_next_turn_at_another_provider_is_valid_without(
    http: httpx.Client, simulator: Simulator, before: str, after: str
) -> None:
    if before == after:
        return
    message = ask(http, before).json()["choices"][0]["message"]
    assert verdict(ask(http, after, *called(message)).json()) == "dropped"


@pytest.mark.parametrize("model", THINKERS)
def test_a_fallback_in_the_middle_of_a_tool_loop_goes_on(
    http: httpx.Client, simulator: Simulator, model: str
) -> None:
    message = ask(http, model).json()["choices"][0]["message"]
    simulator.fault(provider=THINKERS[model], kind="status", status=503, count=9)
    body = ask(http, model, *called(message)).json()
    assert body["x_routeplex"]["provider"] != THINKERS[model]
    assert "4 °C" in body["choices"][0]["message"]["content"]
    assert verdict(body) == "dropped"


def test_another_account_finds_nothing(http: httpx.Client, server: str) -> None:
    from accounts.keys import create_key
    from accounts.models import Account, Plan

    message = ask(http, "claude-opus-5").json()["choices"][0]["message"]
    other = Account.objects.create(name="Others", plan=Plan.objects.get(pk="unlimited"))
    secret = create_key(other, "tests")[1]
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=30) as stranger:
        assert verdict(ask(stranger, "claude-opus-5", *called(message)).json()) is None


# The memory alone

THINKING = Opaque("anthropic", {"type": "thinking", "thinking": "Hm.", "signature": "s"})
SIGNED = Opaque("google", {"thoughtSignature": "t"})


def turn(*ids: str) -> ChatRequest:
    calls = tuple(ToolCall(identity, "look", "{}") for identity in ids)
    results = [Message(Role.TOOL, (Text("4"),), tool_call_id=identity) for identity in ids]
    assistant = Message(Role.ASSISTANT, tool_calls=calls)
    return ChatRequest((Message(Role.USER, (Text("Hi"),)), assistant, *results))


async def remember(memory: Reasoning, account: int = 1) -> None:
    listener = memory.listen(account)
    for event in (
        ReasoningDelta("Hm."),
        ReasoningDelta(carried=THINKING),
        ToolCallDelta(1, "b", "look"),
        ToolCallDelta(0, "a", "look", signature=SIGNED),
        ToolCallDelta(0, arguments="{}"),
    ):
        listener.note(event)
    await listener.keep()


async def test_a_turn_is_identified_by_its_calls_in_order() -> None:
    memory = Reasoning(MemoryStore(60))
    await remember(memory)
    message = (await memory.recalled(1, turn("a", "b"))).messages[1]
    assert message.parts == (THINKING,)
    assert [call.signature for call in message.tool_calls] == [SIGNED, None]
    for account, ids in ((2, ("a", "b")), (1, ("a",)), (1, ("b", "a")), (1, ("a", "c"))):
        request = turn(*ids)
        assert await memory.recalled(account, request) is request


async def test_only_an_open_loop_is_completed() -> None:
    memory = Reasoning(MemoryStore(60))
    await remember(memory)
    closed = turn("a", "b")
    request = ChatRequest((*closed.messages, Message(Role.USER, (Text("And now?"),))))
    assert await memory.recalled(1, request) is request


async def test_a_turn_stored_by_another_version_is_ignored() -> None:
    store = MemoryStore(60)
    memory = Reasoning(store)
    await remember(memory)
    (key,) = store._entries
    await store.put(key, b"\xc1")
    request = turn("a", "b")
    assert await memory.recalled(1, request) is request


async def test_reasoning_that_a_client_carries_is_unchanged() -> None:
    memory = Reasoning(MemoryStore(60))
    await remember(memory)
    own = (await memory.recalled(1, turn("a", "b"))).messages
    carried = ChatRequest(own)
    assert await memory.recalled(1, carried) is carried


async def test_turns_expire_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store = MemoryStore(60)
    await remember(Reasoning(store))
    clock[0] += 61
    request = turn("a", "b")
    assert await Reasoning(store).recalled(1, request) is request
    store = MemoryStore(60, most_bytes=1000)
    for number in range(50):
        await store.put(bytes([number]), b"x" * 100)
    assert await store.get([bytes([0]), bytes([49])]) == [None, b"x" * 100]
    assert len(store._entries) == 10


async def test_reasoning_that_is_too_long_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasoning, "MOST_TURN_BYTES", 10)
    memory = Reasoning(MemoryStore(60))
    await remember(memory)
    request = turn("a", "b")
    assert await memory.recalled(1, request) is request


async def test_nothing_is_stored_when_it_is_switched_off(settings: Any) -> None:
    settings.KEEP_REASONING_S = 0
    memory = Reasoning(reasoning.store())
    await remember(memory)
    request = turn("a", "b")
    assert await memory.recalled(1, request) is request


async def test_processes_share_reasoning_encrypted_in_redis(redis_url: str) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    first, other = (Reasoning(RedisStore(redis_url, prefix, 60, reasoning.KIND)) for _ in range(2))
    await remember(first)
    assert (await other.recalled(1, turn("a", "b"))).messages[1].parts == (THINKING,)
    store = first._store
    assert isinstance(store, RedisStore)
    (name,) = await store._redis.client.keys(f"{prefix}:*")
    stored = await store._redis.client.get(name)
    assert b"Hm." not in stored
    assert 0 < await store._redis.client.ttl(name) <= 60
    await first.close()
    await other.close()


async def test_without_redis_requests_go_on_without_reasoning(own_redis: RedisServer) -> None:
    memory = Reasoning(RedisStore(own_redis.url, "test", 60, reasoning.KIND))
    await remember(memory)
    own_redis.stop()
    request = turn("a", "b")
    began = time.monotonic()
    assert await memory.recalled(1, request) is request
    await remember(memory)
    assert time.monotonic() - began < 1
