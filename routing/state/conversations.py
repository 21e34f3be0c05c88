"""Remembers for a while which arm answered a conversation's last turn, so that its prompt cache counts.

A conversation is known by what was said before: a request whose messages begin with an earlier request's is
its next turn. Only a keyed hash is kept, in this process, for as long as a provider keeps its cache.
"""

import hashlib
from collections import OrderedDict
from datetime import datetime

import msgspec

from routing.decide.decision import Conversation
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role
from routing.providers.shared.reasoning import message_without_reasoning

MOST_CONVERSATIONS = 50_000  # about 300 bytes each
_SHORTEST_TOKENS = 1024  # no provider caches a shorter prefix (spec/providers.md §1 and 3: 512 to 4096)


class Conversations:
    """The latest turn of each conversation; the longest untouched go first."""

    def __init__(self) -> None:
        self._turns: OrderedDict[bytes, Conversation] = OrderedDict()

    def recall(self, account_id: int, request: ChatRequest) -> Conversation | None:
        """The turn before this one, if this process served it."""
        earlier = _before_last_answer(request.messages)
        return self._turns.get(_key(account_id, earlier)) if earlier else None

    def remember(
        self, account_id: int, request: ChatRequest, arm: Arm, input_tokens: int, at: datetime
    ) -> None:
        """A turn was answered; `input_tokens` is the prefix that the next turn shares."""
        if input_tokens < _SHORTEST_TOKENS:
            return
        key = _key(account_id, request.messages)
        self._turns[key] = Conversation(arm, input_tokens, at)
        self._turns.move_to_end(key)
        if len(self._turns) > MOST_CONVERSATIONS:
            self._turns.popitem(last=False)


def _before_last_answer(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What the previous request consisted of: all before the last message of the assistant."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].role is Role.ASSISTANT:
            return messages[:place]
    return ()


def _key(account_id: int, messages: tuple[Message, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16, key=account_id.to_bytes(8))
    # What clients carry for providers, or we recall for them, does not make it another conversation.
    digest.update(msgspec.msgpack.encode([message_without_reasoning(message) for message in messages]))
    return digest.digest()
