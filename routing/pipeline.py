"""The way of a request: admit, decide, open its ledger row, execute, settle. Read this page first.

`answer` returns once the chosen arm has begun to answer, so that whatever fails before is an ordinary error;
the doors render `Answer.events()`. Unstreamed is the stream, collected.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from django.conf import settings

from accounts.caller import Caller
from accounts.errors import ApiError
from billing.limits import Admission
from billing.models import Request
from routing.arms import Arm, ModelFacts
from routing.chat import ChatRequest, ChatResult, Collector, Steering, StreamEvent
from routing.decide.decision import Decision
from routing.execute.chain import Execution, Plan
from routing.question import decided, question
from routing.record import Settled, attempt_row, expected_usd, opening, price, settlement
from routing.runtime import Runtime, running


class Context(msgspec.Struct, frozen=True):
    """The circumstances of a request. `received_at` is time.monotonic() when its first byte came."""

    request_id: str
    door: str
    received_at: float
    remote_ip: str | None = None
    idempotency_key: str | None = None


async def answer(request: ChatRequest, steering: Steering, caller: Caller, context: Context) -> "Answer":
    """Have the best arm answer. Returns when it has begun; raises the ApiError the caller is to see."""
    runtime = await running()
    now = datetime.now(UTC)
    asked, snapshot = question(request, steering, caller, runtime, now)
    admission = await runtime.limiter.admit(caller, now)
    try:
        decision = decided(asked, snapshot, admission.budget_left_usd, random.random())  # noqa: S311
        admission.hold(expected_usd(decision))
        row = opening(context.request_id, context.door, request, steering, caller, decision, now)
        await runtime.ledger.open(row)
    except BaseException:
        admission.release(Decimal(0), 0)
        raise
    plan = Plan(
        request=request,
        chain=decision.chain,
        facts=snapshot.models,
        expected_ttft_ms={one.arm: one.ttft_ms for one in decision.forecast},
        expected_latency_ms={one.arm: one.latency_ms for one in decision.forecast},
        stream=steering.stream,
        first_byte_s=settings.FIRST_BYTE_TIMEOUT_S,
        patience=settings.FIRST_BYTE_PATIENCE,
        deadline=context.received_at + settings.REQUEST_TIMEOUT_S,
    )
    execution = Execution(plan, runtime.upstreams, runtime.breaker)
    begun = Answer(runtime, request, row, decision, admission, execution, context.received_at)
    await begun._begin()
    return begun


class Answer:
    """A request under way. Iterate `events()` once, or `collect()`: either settles its ledger row."""

    def __init__(
        self,
        runtime: Runtime,
        request: ChatRequest,
        row: Request,
        decision: Decision,
        admission: Admission,
        execution: Execution,
        received_at: float,
    ) -> None:
        self.request_id = row.id
        self.mode, self.strategy = row.mode, row.strategy
        self.decision = decision
        self.rate_limit = admission.headers
        self._runtime, self._request, self._row, self._admission = runtime, request, row, admission
        self._execution, self._received_at = execution, received_at
        self._run = self._executed()
        self._first: StreamEvent | Settled

    @property
    def arm(self) -> Arm:
        """The arm that is answering."""
        return self._execution.attempts[-1].arm

    @property
    def facts(self) -> ModelFacts:
        return self._execution.attempts[-1].facts

    @property
    def fallback_used(self) -> bool:
        return self.arm.model != self._row.routed_model or len(self._execution.attempts) > 1

    async def events(self) -> AsyncGenerator[StreamEvent | Settled]:
        """Neutral events, then one `Settled` after the commit. Raises ApiError if the arm breaks off."""
        async with aclosing(self._run) as rest:
            yield self._first
            async for event in rest:
                yield event

    async def collect(self) -> tuple[ChatResult, Settled]:
        collector = Collector()
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Settled):
                    return collector.result(), event
                collector.add(event)
        raise AssertionError("an answer ends with its settlement or an error")

    async def close(self) -> None:
        """End the request without reading on: the upstream is cancelled and the row settled."""
        await self._run.aclose()

    async def _begin(self) -> None:
        self._first = await anext(self._run)

    async def _executed(self) -> AsyncGenerator[StreamEvent | Settled]:
        try:
            async with aclosing(self._execution.events()) as events:
                async for event in events:
                    yield event
        except ApiError as error:
            await self._settled(error)
            raise
        except BaseException:  # the caller left: their leaving must not undo the settlement
            self._runtime.finish(self._settle(None))
            raise
        yield await self._settled(None)

    async def _settled(self, error: ApiError | None) -> Settled:
        return await asyncio.shield(self._runtime.finish(self._settle(error)))

    async def _settle(self, error: ApiError | None) -> Settled:
        """Commit attempts and settlement, give back what was held, and say how it ended."""
        attempts = self._execution.attempts
        book, moment = self._runtime.catalog.price_book, self._row.created_at
        input_tokens = self.decision.trace.input_tokens
        priced = [price(attempt, input_tokens, book, moment) for attempt in attempts]
        latency_ms = round((time.monotonic() - self._received_at) * 1000)
        end = settlement(self._row, attempts, priced, error, latency_ms, book)
        for attempt, its_price in zip(attempts, priced, strict=True):
            self._runtime.ledger.record(attempt_row(self._row.id, attempt, its_price))
        try:
            await self._runtime.ledger.settle(end)
        finally:
            self._admission.release(end.cost_usd or Decimal(0), end.usage.total_tokens)
        if end.status == Request.Status.SUCCEEDED:
            self._runtime.conversations.remember(
                self._row.account_id, self._request, self.arm, end.usage.input_tokens, end.settled_at
            )
        return Settled(
            model_used=end.served_model,
            provider=end.provider,
            arm=attempts[-1].arm if attempts else self.decision.chain[0],
            usage=end.usage,
            cost_usd=end.cost_usd,
            baseline_usd=end.baseline_usd,
            latency_ms=latency_ms,
            ttft_ms=end.ttft_ms,
            fallback_used=end.fallback_used,
            finish_reason=end.finish_reason,
            attempts=tuple(attempt.summary() for attempt in attempts),
        )
