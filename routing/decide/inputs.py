"""What a decision is asked: the request and every circumstance it depends on besides the snapshot."""

from datetime import datetime

import msgspec

from routing.decide.forecast import Conversation
from routing.language.chat import ChatRequest, Mode, Strategy


class DecisionInput(msgspec.Struct, frozen=True):
    """Everything a decision depends on besides the snapshot. Money in USD."""

    request: ChatRequest
    at: datetime
    mode: Mode = Mode.SMART
    strategy: Strategy = Strategy.AUTO
    pinned: str | None = None  # catalog id, alias and retirement resolved; manual mode only
    fallback: bool = True  # False: a chain of one
    allowed: frozenset[str] = frozenset()  # catalog ids key, account and request allow; empty: all
    test_mode: bool = False
    max_cost_usd: float | None = None
    budget_left_usd: float | None = None
    stream: bool = False
    conversation: Conversation | None = None
    baseline: str | None = None  # None: the best fixed model
    notes: tuple[str, ...] = ()  # what happened before: "gpt-x is retired; its successor gpt-y serves it"
