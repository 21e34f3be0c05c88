"""Decisions for the next turn of a conversation count the prompt cache of the last turn's arm."""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from routing.decide.decision import Conversation
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role, Text
from routing.state import conversations as conversations_module
from routing.state.conversations import Conversations, MemoryStore, RedisStore, Store
from tests.door_client import DoorClient
from tests.redis_server import RedisServer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ARM = Arm("m")


def turns(*texts: str) -> ChatRequest:
    """User and assistant alternate, the user first."""
    roles = (Role.USER, Role.ASSISTANT)
    return ChatRequest(tuple(Message(roles[i % 2], (Text(text),)) for i, text in enumerate(texts)))


NEXT = turns("one", "answer", "two")


@pytest.fixture(params=["memory", "redis"])
async def conversations(request: pytest.FixtureRequest) -> AsyncIterator[Conversations]:
    if request.param == "memory":
        store: Store = MemoryStore(60)
    else:
        store = RedisStore(request.getfixturevalue("redis_url"), f"test-{secrets.token_hex(4)}", 60)
    memory = Conversations(store)
    await memory.remember(1, turns("one"), ARM, 5000, NOW)
    yield memory
    await memory.close()


async def test_the_next_turn_finds_the_last(conversations: Conversations) -> None:
    assert await conversations.recall(1, NEXT) == Conversation(ARM, 5000, NOW)


@pytest.mark.parametrize(
    ("account", "request_"),
    [(2, NEXT), (1, turns("other", "answer", "two")), (1, turns("one"))],
    ids=["another account", "another beginning", "the first turn"],
)
async def test_other_requests_find_nothing(
    conversations: Conversations, account: int, request_: ChatRequest
) -> None:
    assert await conversations.recall(account, request_) is None


async def test_a_prefix_too_short_for_a_cache_is_not_stored(conversations: Conversations) -> None:
    await conversations.remember(1, turns("short"), ARM, 100, NOW)
    assert await conversations.recall(1, turns("short", "answer", "two")) is None


async def test_a_busy_account_loses_its_own_oldest_turns(
    conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations_module, "MOST_OF_ACCOUNT", 3)
    for number in range(5):
        await conversations.remember(2, turns(str(number)), ARM, 5000, NOW)
        await asyncio.sleep(0.002)  # Redis orders turns by the millisecond
    known = [await conversations.recall(2, turns(str(number), "answer", "two")) for number in range(5)]
    assert [turn is not None for turn in known] == [False, False, True, True, True]
    assert await conversations.recall(1, NEXT) is not None


async def test_the_oldest_turns_of_all_accounts_go_first(
    conversations: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations_module, "MOST_TURNS", 3)
    for account in range(2, 6):
        await conversations.remember(account, turns("one"), ARM, 5000, NOW)
        await asyncio.sleep(0.002)
    known = [await conversations.recall(account, NEXT) for account in range(1, 6)]
    assert [turn is not None for turn in known] == [False, False, True, True, True]


async def test_turns_are_known_as_long_as_providers_cache_them(redis_url: str) -> None:
    stores: tuple[Store, ...] = (MemoryStore(1), RedisStore(redis_url, f"test-{secrets.token_hex(4)}", 1))
    for memory in map(Conversations, stores):
        await memory.remember(1, turns("one"), ARM, 5000, NOW)
        assert await memory.recall(1, NEXT) is not None
        await asyncio.sleep(1.1)
        assert await memory.recall(1, NEXT) is None
        await memory.remember(1, turns("other"), ARM, 5000, NOW)
        await memory.close()


async def test_expired_turns_are_removed_from_memory() -> None:
    store = MemoryStore(0.05)
    memory = Conversations(store)
    for account in range(10):
        await memory.remember(account, turns("one"), ARM, 5000, NOW)
    await asyncio.sleep(0.1)
    await memory.remember(1, turns("other"), ARM, 5000, NOW)
    assert (len(store._turns), list(store._of_account)) == (1, [1])


async def test_processes_share_turns_in_redis_without_their_text(redis_url: str) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    first, other = (Conversations(RedisStore(redis_url, prefix, 60)) for _ in range(2))
    await first.remember(1, turns("a secret"), ARM, 5000, NOW)
    assert await other.recall(1, turns("a secret", "answer", "two")) == Conversation(ARM, 5000, NOW)
    client = Redis.from_url(redis_url)
    for name in await client.keys(f"{prefix}:*"):
        assert b"secret" not in await client.dump(name)
        assert 0 < await client.ttl(name) <= 60
    await client.aclose()
    await first.close()
    await other.close()


async def test_another_process_knows_the_turn(redis_url: str, settings: Any) -> None:
    """A second interpreter finds what this one stored: the key depends on nothing of the process."""
    prefix = f"test-{secrets.token_hex(4)}"
    memory = Conversations(RedisStore(redis_url, prefix, 60))
    await memory.remember(1, turns("one"), ARM, 5000, NOW)
    await memory.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OTHER_PROCESS,
        redis_url,
        prefix,
        env={**os.environ, "SECRET_KEY": settings.SECRET_KEY},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.split() == [b"m", b"5000"]


OTHER_PROCESS = """
import asyncio, sys, django
from django.conf import settings
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")
django.setup()
from tests.pipeline.test_conversations import NEXT
from routing.state import conversations
conversations._TIMEOUT_S = 3.0
async def main():
    memory = conversations.Conversations(conversations.RedisStore(sys.argv[1], sys.argv[2], 60))
    turn = await memory.recall(1, NEXT)
    print(turn.arm.name, turn.prefix_tokens)
    await memory.close()
asyncio.run(main())
"""


async def test_without_redis_a_turn_is_not_known(own_redis: RedisServer) -> None:
    memory = Conversations(RedisStore(own_redis.url, "test", 60))
    await memory.remember(1, turns("one"), ARM, 5000, NOW)
    own_redis.stop()
    began = time.monotonic()
    for _ in range(20):
        assert await memory.recall(1, NEXT) is None
        await memory.remember(1, turns("one"), ARM, 5000, NOW)
    assert time.monotonic() - began < 0.5
    await memory.close()


async def test_a_redis_that_hangs_holds_requests_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations_module, "_TIMEOUT_S", 0.05)  # tests are more patient otherwise

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    memory = Conversations(RedisStore(f"redis://127.0.0.1:{port}/0", "test", 60))
    began = time.monotonic()
    for _ in range(50):
        assert await memory.recall(1, NEXT) is None
    assert time.monotonic() - began < 0.3
    await memory.close()
    server.close()


def test_the_trace_notes_the_saving_of_staying(caller: DoorClient) -> None:
    long = "Here are the minutes of our meetings about the garden. " * 800
    first = [{"role": "user", "content": long + "What is the capital of France?"}]
    answered = caller.ask(first)
    second = [
        *first,
        {"role": "assistant", "content": answered.text},
        {"role": "user", "content": "And of Italy?"},
    ]
    again = caller.ask(second)
    assert again.model == answered.model
    assert any("cached input" in note for note in again.notes)
