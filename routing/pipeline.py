"""The pipeline: a request's path through admit, judge, decide, open, execute and settle. Read it first.

`answer` returns once the chosen arm has begun to answer, so everything that fails before that is an ordinary
error response; the doors then render `Answer.batches()`. An answer that is not streamed is collected from the
same events. `preview` makes the decision without a request.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec

from accounts.caller import Caller
from billing.ledger.holds import Exhausted
from billing.ledger.limits import over_limit
from routing.decide.decision import Decision
from routing.execute.attempt import AttemptRecord, answering, fallback_used
from routing.execute.chain import Execution
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import ChatRequest, ChatResult, Collector, Steering, StreamEvent
from routing.state.runtime import running
from routing.steps.admission import IncomingRequest, admit, admit_preview
from routing.steps.budget import CHEAPEST, BudgetSearch, first_budget
from routing.steps.decision import decide
from routing.steps.execution import execute
from routing.steps.judgement import judge
from routing.steps.opened_request import OpenedRequest, open_request, reservation_of
from routing.steps.settlement import Batch, Settled, settle


class Context(msgspec.Struct, frozen=True):
    """The circumstances of a request. `received_at`: time.monotonic() of its first byte, in seconds."""

    request_id: str
    door: str
    received_at: float
    idempotency_key: str | None = None


async def answer(request: ChatRequest, steering: Steering, caller: Caller, context: Context) -> "Answer":
    """Have the best arm answer. Returns when it has begun; raises the ApiError that the caller gets."""
    runtime = await running()
    request = await runtime.reasoning.recalled(caller.account_id, request)
    incoming = IncomingRequest(
        request_id=context.request_id,
        door=context.door,
        request=request,
        steering=steering,
        caller=caller,
        at=datetime.now(UTC),
        received_at=context.received_at,
        draw=runtime.draw(),
    )
    admitted = await admit(incoming, runtime)
    async with BudgetSearch(admitted, runtime) as search:
        judged, opened = await judge(admitted, runtime), None
        while opened is None:
            try:
                decision = decide(admitted, judged, search.budget)
                opened = await open_request(admitted, decision, search.budget, runtime)
            except Exhausted as refusal:  # too little is left: try a smaller budget, or raise a 429
                await search.lower(refusal)
    execution = execute(opened, runtime)
    batches = settle(execution, opened, runtime)
    return Answer(opened, execution, await anext(batches), batches)


async def preview(request: ChatRequest, steering: Steering, caller: Caller, request_id: str) -> Decision:
    """The decision that a request would get now, without opening one. Raises the same errors as `answer`.

    It counts in the rate limits and never explores.
    """
    runtime = await running()
    now = datetime.now(UTC)
    incoming = IncomingRequest(
        request_id=request_id,
        door="",
        request=request,
        steering=steering,
        caller=caller,
        at=now,
        received_at=time.monotonic(),
    )
    admitted = await admit_preview(incoming, runtime)
    judged = await judge(admitted, runtime)
    try:
        return decide(admitted, judged, first_budget(admitted))
    except Exhausted as refusal:
        decision = decide(admitted, judged, CHEAPEST)
        refusal.least = reservation_of(admitted, decision, runtime).hold_request(CHEAPEST).least_usd
        if refusal.left < refusal.least:
            raise over_limit(refusal, now) from None
        return decision


class Answer:
    """An answer that has begun. Use `batches()`, `events()` or `collect()` once: each settles its row."""

    def __init__(
        self,
        opened: OpenedRequest,
        execution: Execution,
        first: Batch,
        rest: AsyncGenerator[Batch],
    ) -> None:
        self.request_id = opened.row.id
        self.mode, self.strategy = opened.row.mode, opened.row.strategy
        self.decision = opened.decision
        self.rate_limit = opened.admitted.admission.headers
        self._execution, self._first, self._rest = execution, first, rest

    @property
    def arm(self) -> Arm:
        """The arm that is answering."""
        return self._attempt.arm

    @property
    def facts(self) -> ModelFacts:
        return self._attempt.facts

    @property
    def fallback_used(self) -> bool:
        return fallback_used(self._execution.attempts, self.decision.chain[0])

    @property
    def service_tier(self) -> str:
        """The tier that answered: flex or priority, once the provider has reported it; empty: standard."""
        return self._attempt.service_tier

    async def batches(self) -> AsyncGenerator[Batch]:
        """Neutral events, those that arrived together at once, then one `Settled` after the commit.

        Raises ApiError if the arm breaks off.
        """
        async with aclosing(self._rest) as rest:
            yield self._first
            async for batch in rest:
                yield batch

    async def events(self) -> AsyncGenerator[StreamEvent | Settled]:
        """The events of `batches()`, one by one."""
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def collect(self) -> tuple[ChatResult, Settled]:
        collector, batch = Collector(), self._first
        async with aclosing(self._rest) as rest:
            while True:
                for event in batch:
                    if isinstance(event, Settled):
                        return collector.result(), event
                    collector.add(event)
                batch = await anext(rest)

    @property
    def _attempt(self) -> AttemptRecord:
        attempt = answering(self._execution.attempts)
        assert attempt is not None, "an answer that has begun has an arm"
        return attempt
