"""Remembers which arm answered a conversation's last turn, so that decisions can count its prompt cache.

A conversation is recognised by its messages: a request whose messages begin with those of an earlier request
is its next turn. Only a keyed hash of them is stored, in this process.
"""

import hashlib
from datetime import datetime

import msgspec
from cachetools import LRUCache

from routing.decide.decision import Conversation
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role
from routing.providers.shared.reasoning import message_without_reasoning

MOST_CONVERSATIONS = 50_000  # about 300 bytes each
_SHORTEST_TOKENS = 1024  # providers cache prefixes from 512 to 4096 tokens on, depending on the model


class Conversations:
    """The latest turn of each conversation; the least recently used are dropped first."""

    def __init__(self) -> None:
        self._turns: LRUCache[bytes, Conversation] = LRUCache(MOST_CONVERSATIONS)

    def recall(self, account_id: int, request: ChatRequest) -> Conversation | None:
        """The previous turn, if this process served it."""
        earlier = _before_last_answer(request.messages)
        return self._turns.get(_key(account_id, earlier)) if earlier else None

    def remember(
        self, account_id: int, request: ChatRequest, arm: Arm, input_tokens: int, at: datetime
    ) -> None:
        """Store an answered turn; `input_tokens` is the length of the prefix that the next turn shares."""
        if input_tokens < _SHORTEST_TOKENS:
            return
        self._turns[_key(account_id, request.messages)] = Conversation(arm, input_tokens, at)


def _before_last_answer(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages of the previous request: all before the last message of the assistant."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role is Role.ASSISTANT:
            return messages[:index]
    return ()


def _key(account_id: int, messages: tuple[Message, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16, key=account_id.to_bytes(8))
    # Reasoning that clients carry for providers, or that is recalled for them, is no part of the identity.
    digest.update(msgspec.msgpack.encode([message_without_reasoning(message) for message in messages]))
    return digest.digest()
