"""The input of a decision: the request and everything else it depends on besides the snapshot."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from routing.decide.forecast import Conversation
from routing.decide.prediction.request_features import RequestText
from routing.decide.prediction.request_model import Judgement
from routing.language.chat import ChatRequest, Mode, Strategy


class DecisionInput(msgspec.Struct, frozen=True):
    """One request to decide on, with the caller's choices and limits. Money in USD."""

    request: ChatRequest
    at: datetime
    mode: Mode = Mode.SMART
    strategy: Strategy = Strategy.AUTO
    pinned: str | None = None  # a catalog id (aliases and retired ids are resolved); manual mode only
    fallback: bool = True  # False: the chain has one arm
    allowed: frozenset[str] = frozenset()  # catalog ids that key, account and request allow; empty: all
    excluded: Mapping[str, str] = {}  # by catalog id, who excludes it: request, key or account
    test_mode: bool = False
    max_cost_usd: float | None = None
    budget_left_usd: float | None = None
    stream: bool = False
    conversation: Conversation | None = None
    baseline: str | None = None  # the model savings are compared with; None: the best fixed model
    text: RequestText | None = None  # of the request, where it was read already
    judgement: Judgement | None = None  # of the request; None: the shipped request model judges it
    text_tokens: int | None = None  # o200k tokens of all its text, where they were counted exactly
    notes: tuple[str, ...] = ()  # for the trace: "gpt-x is retired; its successor gpt-y answers"
