"""A conversation's next turn knows what the prompt cache of the last one's arm is worth."""

from datetime import UTC, datetime

import httpx
import pytest

from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role, Text
from routing.state.conversations import Conversations

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ARM = Arm("m")


def said(*texts: str) -> ChatRequest:
    """User and assistant in turns, the user first."""
    roles = (Role.USER, Role.ASSISTANT)
    return ChatRequest(tuple(Message(roles[i % 2], (Text(text),)) for i, text in enumerate(texts)))


@pytest.fixture
def conversations() -> Conversations:
    kept = Conversations()
    kept.remember(1, said("one"), ARM, 5000, NOW)
    return kept


def test_the_next_turn_finds_the_last(conversations: Conversations) -> None:
    found = conversations.recall(1, said("one", "answer", "two"))
    assert found is not None
    assert (found.arm, found.prefix_tokens) == (ARM, 5000)


@pytest.mark.parametrize(
    ("account", "request_"),
    [(2, said("one", "answer", "two")), (1, said("other", "answer", "two")), (1, said("one"))],
    ids=["another account", "another beginning", "the first turn"],
)
def test_nobody_else_finds_it(conversations: Conversations, account: int, request_: ChatRequest) -> None:
    assert conversations.recall(account, request_) is None


def test_what_is_too_short_to_be_cached_is_not_kept() -> None:
    kept = Conversations()
    kept.remember(1, said("one"), ARM, 100, NOW)
    assert kept.recall(1, said("one", "answer", "two")) is None


def test_the_trace_says_what_staying_saves(http: httpx.Client) -> None:
    long = "Here are the minutes of our meetings about the garden. " * 800
    first = [{"role": "user", "content": long + "What is the capital of France?"}]
    answered = http.post("/api/v1/chat", json={"messages": first}).json()["data"]
    second = [
        *first,
        {"role": "assistant", "content": answered["output"]},
        {"role": "user", "content": "And of Italy?"},
    ]
    again = http.post("/api/v1/chat", json={"messages": second}).json()["data"]
    assert again["model_used"] == answered["model_used"]
    assert any("cached input" in note for note in again["routing"]["notes"])
