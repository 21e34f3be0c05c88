"""The way of a request: admit, decide, open its ledger row, execute, settle. Read this page first.

`answer` returns once the chosen arm has begun to answer, so that whatever fails before is an ordinary error;
the doors render `Answer.events()`. Unstreamed is the stream, collected.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from django.conf import settings

from accounts.caller import Caller
from billing.models import Request
from billing.usage import Usage
from core.errors import ApiError, ServiceUnavailable
from routing.execute.chain import Execution, Plan
from routing.execute.output_check import OutputCheck
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import ChatRequest, ChatResult, Collector, Steering, StreamEvent
from routing.state.runtime import Runtime, running
from routing.steps.admission import Asked, Entry, enter
from routing.steps.reservation import SHORT_ANSWER
from routing.steps.settlement import Priced, Settled, attempt_rows, fidelity, price, settled, settlement


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
    request = await runtime.reasoning.recalled(caller.account_id, request)
    asked = Asked(context.request_id, context.door, request, steering, caller, datetime.now(UTC))
    begun = Answer(runtime, request, steering, await enter(asked, runtime), context.received_at)
    await begun._begin()
    return begun


class Answer:
    """A request under way. Iterate `events()` once, or `collect()`: either settles its ledger row."""

    def __init__(
        self,
        runtime: Runtime,
        request: ChatRequest,
        steering: Steering,
        entry: Entry,
        received_at: float,
    ) -> None:
        self.request_id = entry.row.id
        self.mode, self.strategy = entry.row.mode, entry.row.strategy
        self.decision = entry.decision
        self.rate_limit = entry.admission.headers
        self._runtime, self._request, self._entry, self._row = runtime, request, entry, entry.row
        self._received_at = received_at
        self._deadline = received_at + settings.REQUEST_TIMEOUT_S
        self._execution = Execution(self._plan(steering), runtime.upstreams, runtime.breaker)
        self._output = OutputCheck(request)
        self._reasoning = runtime.reasoning.listen(entry.row.account_id)
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
                    self._output.note(event)
                    self._reasoning.note(event)
                    yield event
        except ApiError as error:
            await self._settled(error)
            raise
        except BaseException:  # the caller left: their leaving must not undo the settlement
            self._runtime.finish(self._settle(None))
            raise
        yield await self._settled(None)

    async def _settled(self, error: ApiError | None) -> Settled:
        """Settle for sure; wait for it as long as the request may last, for the ledger may be away."""
        settling = self._runtime.finish(self._settle(error))
        patience_s = max(settings.DATABASE_PATIENCE_S, self._deadline - time.monotonic())
        try:
            return await asyncio.wait_for(asyncio.shield(settling), patience_s)
        except TimeoutError:
            raise ServiceUnavailable(
                "The answer could not be written to the ledger in time, so it is not given. Try again later.",
                headers={"Retry-After": "30"},
            ) from None

    async def _settle(self, error: ApiError | None) -> Settled:
        """Commit attempts and settlement, which gives back what was held, and say how it ended."""
        attempts, admission = self._execution.attempts, self._entry.admission
        priced = self._priced()
        book = self._runtime.catalog.price_book
        latency_ms = round((time.monotonic() - self._received_at) * 1000)
        kept = fidelity(self._request, attempts, self._output)
        end = settlement(self._row, attempts, priced, error, latency_ms, book, kept)
        rows = attempt_rows(self._row.id, attempts, priced)
        try:
            await self._runtime.ledger.settle(self._row, admission.payer, end, rows)
        finally:
            await admission.leave(end.usage.total_tokens, datetime.now(UTC))
        if end.status == Request.Status.SUCCEEDED:
            await self._reasoning.keep()
            self._runtime.conversations.remember(
                self._row.account_id, self._request, self.arm, end.usage.input_tokens, end.settled_at
            )
        return settled(end, attempts, self.decision.chain[0], kept)

    def _plan(self, steering: Steering) -> Plan:
        decision = self.decision
        return Plan(
            request=self._request,
            chain=decision.chain,
            facts=self._entry.snapshot.models,
            expected_ttft_ms={one.arm: one.ttft_ms for one in decision.forecast},
            expected_latency_ms={one.arm: one.latency_ms for one in decision.forecast},
            stream=steering.stream,
            first_byte_s=settings.FIRST_BYTE_TIMEOUT_S,
            patience=settings.FIRST_BYTE_PATIENCE,
            deadline=self._deadline,
            most_output_tokens=self._most_output_tokens,
            rescue=self._entry.caller.rescue if steering.rescue is None else steering.rescue,
        )

    def _most_output_tokens(self, arm: Arm) -> int | None:
        """What hold and limit leave after what is charged already; asked before each attempt."""
        attempts = zip(self._execution.attempts, self._priced(), strict=True)
        charged = [one for attempt, one in attempts if attempt.outcome == "partial"]
        usd = sum((one.usd or Decimal(0) for one in charged), Decimal(0))
        usage = sum((one.usage for one in charged), Usage())
        most = self._entry.purse.most_output_tokens(arm, usd, usage.total_tokens)
        asked = self._request.max_output_tokens
        if not charged or asked is None or most == 0:
            return most
        rest = max(asked - usage.output_tokens, SHORT_ANSWER)
        return rest if most is None else min(rest, most)

    def _priced(self) -> list[Priced]:
        book, tokens = self._runtime.catalog.price_book, self.decision.trace.input_tokens
        return [price(one, tokens, book, self._row.created_at) for one in self._execution.attempts]
