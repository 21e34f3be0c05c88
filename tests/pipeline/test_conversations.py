"""Decisions for the next turn of a conversation count the prompt cache of the last turn's arm."""

from datetime import UTC, datetime

import pytest

from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role, Text
from routing.state.conversations import Conversations
from tests.door_client import DoorClient

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ARM = Arm("m")


def turns(*texts: str) -> ChatRequest:
    """User and assistant alternate, the user first."""
    roles = (Role.USER, Role.ASSISTANT)
    return ChatRequest(tuple(Message(roles[i % 2], (Text(text),)) for i, text in enumerate(texts)))


@pytest.fixture
def conversations() -> Conversations:
    memory = Conversations()
    memory.remember(1, turns("one"), ARM, 5000, NOW)
    return memory


def test_the_next_turn_finds_the_last(conversations: Conversations) -> None:
    conversation = conversations.recall(1, turns("one", "answer", "two"))
    assert conversation is not None
    assert (conversation.arm, conversation.prefix_tokens) == (ARM, 5000)


@pytest.mark.parametrize(
    ("account", "request_"),
    [(2, turns("one", "answer", "two")), (1, turns("other", "answer", "two")), (1, turns("one"))],
    ids=["another account", "another beginning", "the first turn"],
)
def test_other_requests_find_nothing(
    conversations: Conversations, account: int, request_: ChatRequest
) -> None:
    assert conversations.recall(account, request_) is None


def test_a_prefix_too_short_for_a_cache_is_not_stored() -> None:
    memory = Conversations()
    memory.remember(1, turns("one"), ARM, 100, NOW)
    assert memory.recall(1, turns("one", "answer", "two")) is None


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
