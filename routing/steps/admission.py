"""Admit: may this caller send this request now, and on which facts will it be decided.

Names are resolved first: a request for an unknown or forbidden model counts in no rate limit. Then the rate
limits count it, and the spending limits refuse a caller who has spent everything. How much one request may
spend is settled later, with the ledger (`steps/budget.py`).
"""

import time
from collections.abc import Mapping
from datetime import datetime

import msgspec

from accounts.caller import Caller
from billing.ledger.limits import Admission
from core.hot_settings import hot
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Conversation
from routing.language.chat import ChatRequest, Steering, Strategy
from routing.state.runtime import Runtime
from routing.steps.resolve import ResolvedModels, resolve


class IncomingRequest(msgspec.Struct, frozen=True):
    """A parsed request with everything the steps need to know about it; time and chance are fixed here.

    `received_at`: time.monotonic() of its first byte, in seconds. `draw`: uniform in [0, 1), for exploration;
    0 never explores.
    """

    request_id: str
    door: str
    request: ChatRequest
    steering: Steering
    caller: Caller
    at: datetime
    received_at: float
    draw: float = 0.0

    @property
    def strategy(self) -> Strategy:
        return self.steering.strategy or Strategy(self.caller.strategy)

    @property
    def deadline(self) -> float:
        """time.monotonic() at which the whole request ends, in seconds."""
        return self.received_at + hot.REQUEST_TIMEOUT_S


class Admitted(msgspec.Struct, frozen=True):
    """A request that was let in, with the facts that every decision for it is based on.

    `waits`: by model that circuit breakers pause, the seconds until it may be tried when no other can answer.
    `admission`: its place in the rate limits and what its spending limits leave. `learned`: the account's
    shifts of P(success) by "arm name|skill".
    """

    incoming: IncomingRequest
    models: ResolvedModels
    snapshot: Snapshot
    waits: Mapping[str, float]
    conversation: Conversation | None
    learned: Mapping[str, float]
    admission: Admission


async def admit(incoming: IncomingRequest, runtime: Runtime) -> Admitted:
    """Let a request in. Raises the caller's 4xx of a model name, or the 429 of a limit."""
    models, snapshot, waits, conversation = await _facts(incoming, runtime)
    learned = await runtime.learned.of(incoming.caller.account_id)
    admission = await runtime.limiter.admit(incoming.caller, incoming.request_id, incoming.at)
    return Admitted(incoming, models, snapshot, waits, conversation, learned, admission)


async def admit_preview(incoming: IncomingRequest, runtime: Runtime) -> Admitted:
    """As `admit`, for a decision that opens no request: it counts once in the rates and takes no place."""
    models, snapshot, waits, conversation = await _facts(incoming, runtime)
    learned = await runtime.learned.of(incoming.caller.account_id)
    admission = await runtime.limiter.check(incoming.caller, incoming.request_id, incoming.at)
    return Admitted(incoming, models, snapshot, waits, conversation, learned, admission)


async def _facts(
    incoming: IncomingRequest, runtime: Runtime
) -> tuple[ResolvedModels, Snapshot, dict[str, float], Conversation | None]:
    snapshot, waits = _current_snapshot(runtime)
    models = resolve(incoming.steering, incoming.caller, runtime.catalog.names)
    conversation = await runtime.conversations.recall(incoming.caller.account_id, incoming.request)
    return models, snapshot, waits, conversation


def _current_snapshot(runtime: Runtime) -> tuple[Snapshot, dict[str, float]]:
    """The catalog's snapshot, with the models that this process's circuit breakers block, and their waits."""
    snapshot, now = runtime.catalog.snapshot, time.monotonic()
    models, providers = runtime.breaker.blocked(now)
    if not models and not providers:
        return snapshot, {}
    blocked, waits = dict(snapshot.blocked), {}
    for facts in snapshot.models.values():
        reason = models.get(facts.id) or providers.get(facts.provider)
        if reason:
            blocked[facts.id] = reason
            waits[facts.id] = runtime.breaker.wait_s(facts, now)
    return msgspec.structs.replace(snapshot, blocked=blocked), waits
