"""The same decision under each strategy, from its stored trace: nothing is sent, nothing is charged."""

from dataclasses import dataclass
from typing import Any

import msgspec

from routing.decide.trace import Trace
from routing.language.chat import Strategy
from routing.replay.replay import rerank


@dataclass(frozen=True)
class Choice:
    """The choice of a strategy: shares of 1, USD (None: unknown), ms."""

    strategy: str
    arm: str
    p_success: float
    cost_usd: float | None
    latency_ms: float
    is_same: bool


def other_strategies(stored: Any) -> list[Choice]:
    """One choice for each strategy; empty when the trace has no candidates or is of an unknown shape."""
    try:
        trace = Trace.of(stored)
    except msgspec.ValidationError:
        return []
    if not trace.chain or all(entry.removed is not None for entry in trace.candidates):
        return []
    choices = []
    for strategy in Strategy:
        first = rerank(trace, strategy).first
        is_same = first.arm == trace.chain[0]
        choices.append(
            Choice(strategy, first.arm, first.p_success, first.cost_usd, first.latency_ms, is_same)
        )
    return choices
