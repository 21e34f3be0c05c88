"""Puts a caller's request as the question that `decide` answers, and its refusals in the caller's words."""

import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from accounts.caller import Caller
from core.errors import ApiError, PermissionDenied
from routing.catalog.names import NameBook, Resolved
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, NoCandidate, Question, decide
from routing.decide.filters import Reason
from routing.language.chat import ChatRequest, Mode, Steering, Strategy
from routing.language.errors import (
    BudgetTooLow,
    ContextLengthExceeded,
    InvalidModel,
    NoCapableModel,
    ProviderUnavailable,
)
from routing.state.runtime import Runtime

_REFUSALS: dict[str, type[ApiError]] = {
    error.code: error for error in (NoCapableModel, BudgetTooLow, ContextLengthExceeded, InvalidModel)
}


def question(
    request: ChatRequest, steering: Steering, caller: Caller, runtime: Runtime, now: datetime
) -> tuple[Question, Snapshot]:
    """What is asked, and the picture of the catalog to decide it with, breakers included."""
    snapshot = _current_snapshot(runtime)
    target = _target(steering, caller, runtime.catalog.names)
    manual = steering.mode is Mode.MANUAL
    fallback = caller.fallback if manual else True
    asked = Question(
        request=request,
        mode=steering.mode,
        strategy=steering.strategy or Strategy(caller.strategy),
        pinned=target.id if target else None,
        fallback=fallback if steering.fallback is None else steering.fallback,
        allowed=_allowed(steering, caller, runtime.catalog.names),
        test_mode=steering.test_mode and not manual,
        max_cost_usd=steering.max_cost_usd,
        budget_left_usd=None,
        stream=steering.stream,
        conversation=runtime.conversations.recall(caller.account_id, request),
        baseline=caller.baseline_model,
        at=now,
        notes=(target.note,) if target and target.note else (),
    )
    return asked, snapshot


class OverBudget(Exception):
    """Nobody can answer for what the account's or the key's budget leaves."""


def decided(
    asked: Question,
    snapshot: Snapshot,
    budget_left_usd: Decimal | None,
    draw: float,
    learning: Mapping[str, float],
) -> Decision:
    """The decision; raises the caller's 4xx, 503 when only breakers stand in the way, or OverBudget."""
    left = None if budget_left_usd is None else float(budget_left_usd)
    asked = msgspec.structs.replace(asked, budget_left_usd=left)
    try:
        return decide(asked, snapshot, draw=draw, learning=learning)
    except NoCandidate as refusal:
        if snapshot.blocked and _would_work_unblocked(asked, snapshot):
            raise ProviderUnavailable(
                "Every model that could answer is paused after failures. Try again in a few seconds.",
                headers={"Retry-After": "5"},
            ) from refusal
        if any(removal.code is Reason.BUDGET for removal in refusal.removed.values()):
            raise OverBudget from refusal
        raise _REFUSALS[refusal.code](
            refusal.message, details={"removed": msgspec.to_builtins(refusal.removed)}
        ) from refusal


def _current_snapshot(runtime: Runtime) -> Snapshot:
    """The catalog's snapshot with the breakers of this process in it."""
    snapshot = runtime.catalog.snapshot
    models, providers = runtime.breaker.blocked(time.monotonic())
    if not models and not providers:
        return snapshot
    blocked = dict(snapshot.blocked)
    for facts in snapshot.models.values():
        reason = models.get(facts.id) or providers.get(facts.provider)
        if reason:
            blocked[facts.id] = reason
    return msgspec.structs.replace(snapshot, blocked=blocked)


def _would_work_unblocked(asked: Question, snapshot: Snapshot) -> bool:
    try:
        decide(asked, msgspec.structs.replace(snapshot, blocked={}), draw=0.0)
    except NoCandidate:
        return False
    return True


def _target(steering: Steering, caller: Caller, names: NameBook) -> Resolved | None:
    if steering.mode is not Mode.MANUAL or steering.model is None:
        return None
    target = resolved(steering.model, names, "model")
    if target.replaced_from and not caller.replace_retired:
        raise InvalidModel(
            f"{target.replaced_from} is retired and this account forbids replacement. "
            f"Its documented successor is {target.id}.",
            param="model",
            details={"successor": target.id},
        )
    if caller.models and target.id not in caller.models:
        raise PermissionDenied(f"This key may not use {target.id}. Ask its owner to allow it.", param="model")
    return target


def _allowed(steering: Steering, caller: Caller, names: NameBook) -> frozenset[str]:
    """The candidate pool: what the request names, within what the key may use. Empty: all."""
    if not steering.models:
        return caller.models
    wanted = frozenset(resolved(name, names, "models").id for name in steering.models)
    if not caller.models:
        return wanted
    if not wanted & caller.models:
        raise PermissionDenied("This key may use none of the models named in `models`.", param="models")
    return wanted & caller.models


def resolved(name: str, names: NameBook, param: str) -> Resolved:
    """The catalog id a name means. Raises InvalidModel with near matches."""
    found = names.resolve(name)
    if not found.id:
        near = ", ".join(found.near)
        raise InvalidModel(
            f"There is no model {name!r}."
            + (f" Did you mean {near}?" if near else " See GET /api/v1/models."),
            param=param,
            details={"near_matches": list(found.near)},
        )
    return found
