"""Decide: the chain of arms for an admitted request within a budget, and refusals in the caller's terms."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from core.errors import ApiError
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, DecisionInput, NoCandidate
from routing.decide.decision import decide as best_chain
from routing.decide.strategy_weights import RETIRING_DAYS
from routing.decide.trace import Reason
from routing.execute.outcome import all_paused
from routing.language.chat import Mode, Strategy
from routing.language.errors import (
    BudgetTooLow,
    ContextLengthExceeded,
    InvalidModel,
    NoCapableModel,
)
from routing.steps.admission import Admitted
from routing.steps.budget import Budget, Phase
from routing.steps.judgement import Judged

_REFUSALS: dict[str, type[ApiError]] = {
    error.code: error for error in (NoCapableModel, BudgetTooLow, ContextLengthExceeded, InvalidModel)
}
_CUT_NOTE = (
    "No whole answer fits what the budget leaves: the cheapest candidate answers, cut to what is left."
)


def decide(admitted: Admitted, judged: Judged, budget: Budget) -> Decision:
    """The decision. Raises Exhausted when nothing fits the budget.

    Otherwise raises the caller's 4xx, or a 503 when only circuit breakers stand in the way. A paused model
    whose probe is due is chosen when nothing else is left.
    """
    decision_input, snapshot = _decision_input(admitted, judged, budget), admitted.snapshot
    try:
        return best_chain(decision_input, snapshot, draw=admitted.incoming.draw, learning=admitted.learned)
    except NoCandidate as refusal:
        paused = _paused_candidates(decision_input, snapshot)
        if paused:
            waits = {model: admitted.waits.get(model, 0.0) for model in paused}
            due = [model for model, wait_s in waits.items() if wait_s <= 0]
            if not due:
                raise all_paused(min(waits.values())) from refusal
            return best_chain(decision_input, _without_pauses(snapshot, due), learning=admitted.learned)
        if any(removal.code is Reason.BUDGET for removal in refusal.removed.values()):
            tightest = admitted.admission.tightest
            assert tightest is not None, "only a limit makes a budget"
            raise tightest from refusal
        raise _REFUSALS[refusal.code](
            refusal.message, details={"removed": msgspec.to_builtins(refusal.removed)}
        ) from refusal


def _decision_input(admitted: Admitted, judged: Judged, budget: Budget) -> DecisionInput:
    incoming, models = admitted.incoming, admitted.models
    steering, caller = incoming.steering, incoming.caller
    is_manual, is_cut = steering.mode is Mode.MANUAL, budget.phase is Phase.CHEAPEST_CUT
    fallback = caller.fallback if is_manual else True
    notes = filter(None, (models.note, _retirement_note(admitted), _CUT_NOTE if is_cut else None))
    return DecisionInput(
        request=incoming.request,
        mode=steering.mode,
        strategy=Strategy.COST if is_cut else incoming.strategy,
        pinned=models.pinned,
        fallback=fallback if steering.fallback is None else steering.fallback,
        allowed=models.allowed,
        excluded=models.excluded,
        test_mode=steering.test_mode and not is_manual,
        max_cost_usd=steering.max_cost_usd,
        budget_left_usd=None if budget.left_usd is None else float(budget.left_usd),
        stream=steering.stream,
        conversation=admitted.conversation,
        baseline=caller.baseline_model,
        at=incoming.at,
        text=judged.text,
        judgement=judged.judgement,
        text_tokens=judged.text_tokens,
        notes=tuple(notes),
    )


def _retirement_note(admitted: Admitted) -> str | None:
    """A sentence for the trace when the pinned model is retired soon."""
    models, facts = admitted.models, admitted.snapshot.models.get(admitted.models.pinned or "")
    last_day = admitted.incoming.at.date() + timedelta(days=RETIRING_DAYS)
    if facts is None or facts.shutdown is None or facts.shutdown > last_day:
        return None
    note = f"{facts.id} will be retired on {facts.shutdown}"
    return f"{note}; its documented successor is {models.successor}" if models.successor else note


def _paused_candidates(decision_input: DecisionInput, snapshot: Snapshot) -> set[str]:
    """The models that could answer if no circuit breaker paused them."""
    try:
        unpaused = best_chain(decision_input, _without_pauses(snapshot, snapshot.blocked))
    except NoCandidate:
        return set()
    if not decision_input.fallback:
        return {arm.model for arm in unpaused.chain}
    ranked = {entry.model for entry in unpaused.trace.candidates if entry.removed is None}
    return ranked & snapshot.blocked.keys()


def _without_pauses(snapshot: Snapshot, models: Iterable[str]) -> Snapshot:
    tried = set(models)
    blocked = {model: why for model, why in snapshot.blocked.items() if model not in tried}
    return msgspec.structs.replace(snapshot, blocked=blocked)
