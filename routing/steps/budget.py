"""Budget: what one request may spend, lowered phase by phase until decision and ledger agree on it.

The limits read at admission are up to a second old, and requests under way hold money that they will mostly
give back. Only the ledger knows what is left. So `pipeline.answer` decides and opens within a budget; a
refusal lowers the budget, and a cheaper or shorter answer is tried before the caller gets a 429.
"""

import time
from contextlib import AsyncExitStack
from decimal import Decimal
from enum import Enum
from types import TracebackType
from typing import Self

import msgspec

from billing.ledger.holds import Exhausted
from billing.ledger.limits import over_limit
from core.hot_settings import hot
from routing.state.runtime import Runtime
from routing.steps.admission import Admitted

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.4  # between checks whether other processes gave back holds


class Phase(Enum):
    """How much of an answer the ledger must be able to hold. Each phase follows when the one before fails."""

    # Nearly every request is served in this phase. The decision leaves out arms that cost more than the
    # limits leave, and the ledger must hold what the chosen arm's answer most likely needs. If requests under
    # way hold the missing money, this phase waits for them: better a whole answer later than a cut one now.
    WHOLE_ANSWER = "whole answer"

    # The decision stays bound by what is left, but the ledger may hold as little as a short answer of any arm
    # in the chain. The answer is whole if it fits its hold, and cut if it grows beyond it.
    SHORT_ANSWER = "short answer"

    # No candidate's expected answer fits what is left, though something is left. The decision ignores the
    # budget and picks the cheapest candidate, whose answer is cut to the hold; the caller is refused when not
    # even a short answer fits. A token limit never leads here, because a cheaper model needs as many tokens.
    CHEAPEST_CUT = "cheapest, cut"


class Budget(msgspec.Struct, frozen=True):
    """The money that decision and ledger must fit. `left_usd` None: no USD limit binds the decision."""

    phase: Phase
    left_usd: Decimal | None


CHEAPEST = Budget(Phase.CHEAPEST_CUT, None)


def first_budget(admitted: Admitted) -> Budget:
    return Budget(Phase.WHOLE_ANSWER, admitted.admission.budget_left_usd)


class BudgetSearch:
    """Finds the budget of one request: `lower` it after every refusal of decision or ledger.

    Use it as a context: leaving it with an error also gives back the request's place in the rate limits.
    """

    def __init__(self, admitted: Admitted, runtime: Runtime) -> None:
        self.budget = first_budget(admitted)
        self._admitted, self._runtime = admitted, runtime
        self._wait = _HoldWait(admitted.incoming.caller.account_id, runtime)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wait.end()
        if error is not None:
            self._runtime.finish(self._admitted.admission.leave(0, self._admitted.incoming.at))

    async def lower(self, refusal: Exhausted) -> None:
        """Choose what to try next. Raises the caller's 429 when there is nothing left to try.

        Within a phase there are two reasons to try again. When the ledger says that less is left than the
        decision counted on, the decision is made again with that, for a cheaper arm may fit. When requests
        under way hold what is missing, the end of one of them is awaited and the limits are read again.
        """
        if self._ledger_has_less(refusal):
            self.budget = msgspec.structs.replace(self.budget, left_usd=Decimal(refusal.left))
        elif await self._wait.may_have_freed(refusal):
            await self._read_limits()
        else:
            self.budget = self._next_phase(refusal)

    def _ledger_has_less(self, refusal: Exhausted) -> bool:
        if self.budget.phase is Phase.CHEAPEST_CUT or refusal.unit != "usd":
            return False
        known = self.budget.left_usd
        return refusal.left > 0 and (known is None or refusal.left < known)

    async def _read_limits(self) -> None:
        """Raises the caller's 429 when a limit was spent meanwhile."""
        incoming, admission = self._admitted.incoming, self._admitted.admission
        admission.tightest = await self._runtime.limiter.left(incoming.caller, incoming.at)
        if self.budget.phase is not Phase.CHEAPEST_CUT:
            self.budget = msgspec.structs.replace(self.budget, left_usd=admission.budget_left_usd)

    def _next_phase(self, refusal: Exhausted) -> Budget:
        match self.budget.phase:
            case Phase.WHOLE_ANSWER:
                return msgspec.structs.replace(self.budget, phase=Phase.SHORT_ANSWER)
            case Phase.SHORT_ANSWER if refusal.unit == "usd" and refusal.left > 0:
                return CHEAPEST
            case _:
                raise over_limit(refusal, self._admitted.incoming.at) from None


class _HoldWait:
    """Waits until requests under way give back what they hold, for one request and one after the other.

    All waiting requests of an account stand in line for a turn, and only the request whose turn it is keeps
    checking: many that wait cost the database no more than one. Other processes release holds without
    notice, so it checks at growing intervals. At least half of the request's time is left for its answer.
    """

    def __init__(self, account_id: int, runtime: Runtime) -> None:
        self._account_id, self._ledger = account_id, runtime.ledger
        self._began = time.monotonic()
        self._pause_s = _FIRST_PAUSE_S
        self._line: AsyncExitStack | None = None
        self._has_turn = False

    async def may_have_freed(self, refusal: Exhausted) -> bool:
        """Wait a while; False at once when no hold is in the way, or the time to wait is over."""
        longest_s = min(hot.HOLD_WAIT_S, hot.REQUEST_TIMEOUT_S / 2)
        left_s = self._began + longest_s - time.monotonic()
        if not refusal.may_pass or left_s <= 0:
            return False
        if self._has_turn:
            await self._ledger.freed(self._account_id, min(left_s, self._pause_s))
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        else:
            turn = self._ledger.turn(self._account_id, left_s)
            self._line = self._line or AsyncExitStack()
            self._has_turn = await self._line.enter_async_context(turn)
        return True

    async def end(self) -> None:
        """Give the turn to the next request in line."""
        if self._line is not None:
            await self._line.aclose()
