"""Runs a chain of arms until one answers: fallback, deadlines and the record of each attempt.

Nothing of an arm that fails before its first content reaches the caller, and a caller who does not stream
gets nothing before the completion is whole. A stream that breaks off later is continued by the next arm where
that is allowed (docs/reliability.md).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from core.errors import ServiceUnavailable
from routing.execute.answer_limit import AnswerLimit, Counter
from routing.execute.attempt import AttemptRecord
from routing.execute.breaker import Breaker
from routing.execute.continuation_joiner import ContinuationJoiner
from routing.execute.outcome import final_error
from routing.execute.rescue import DeliveredText, can_be_continued, continuation
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from routing.language.choices import upstream_calls
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.upstreams import Upstreams

MAX_ATTEMPTS = 3


READ_ON_S = 1.0  # after the visible limit is reached, for the rest of the answer and its usage


class OutputLimits(msgspec.Struct, frozen=True):
    """Limits of one attempt's output in tokens; None: no limit.

    `total`: reasoning included; 0: skip the arm. `allowed`: the total before money lowers it. `answer`: of
    the visible answer alone.
    """

    total: int | None = None
    allowed: int | None = None
    answer: int | None = None


def _unlimited(arm: Arm, attempts: Sequence[AttemptRecord]) -> OutputLimits:
    return OutputLimits()


def _no_counter(facts: ModelFacts) -> Counter:
    raise AssertionError("a limit of the visible answer needs a counter of tokens")


class Plan(msgspec.Struct, frozen=True):
    """The chain to run, with each arm's facts and forecast times in ms."""

    request: ChatRequest
    chain: tuple[Arm, ...]
    facts: Mapping[str, ModelFacts]
    expected_ttft_ms: Mapping[Arm, float]
    expected_latency_ms: Mapping[Arm, float]
    stream: bool
    first_byte_s: float  # without content for that long, an arm has failed; see `patience`
    patience: float  # an arm may be silent for this many times its forecast time, if that is longer
    deadline: float  # time.monotonic() at which the whole request ends
    # What an arm may write after these attempts, by the caller's limit and by what is left to spend.
    output_limits: Callable[[Arm, Sequence[AttemptRecord]], OutputLimits] = _unlimited
    counter: Callable[[ModelFacts], Counter] = _no_counter  # of the tokens of visible text
    expected_reasoning: Mapping[Arm, int] = {}  # tokens
    rescue: bool = False  # a stream that is cut may be continued by the next arm


class Execution:
    """One run of a plan. Iterate `events()` once; `attempts` has the record, also after an error."""

    def __init__(self, plan: Plan, upstreams: Upstreams, breaker: Breaker) -> None:
        self._plan, self._upstreams, self._breaker = plan, upstreams, breaker
        self._remaining = list(plan.chain)
        self._delivered = DeliveredText()
        self.attempts: list[AttemptRecord] = []

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Neutral events of the arm that answers. Raises the ApiError that the caller gets.

        Each pass of the loop is one attempt. It ends in one of four ways: "ok"; "failed", when nothing of it
        was released to the caller, so that the next arm starts from the beginning; "partial", when the caller
        has read some of it, so that the next arm may only continue it; "aborted", when the caller left. An
        UpstreamFailure also counts against the circuit breaker, and one that no arm could avoid ends the loop
        at once.
        """
        while (arm := await self._next_arm()) is not None:
            attempt = AttemptRecord(len(self.attempts) + 1, arm, self._plan.facts[arm.model])
            self.attempts.append(attempt)
            try:
                async with aclosing(self._attempt(attempt)) as events:
                    async for event in events:
                        self._delivered.note(event)
                        yield event
            except UpstreamFailure as failure:
                attempt.end("partial" if attempt.released else "failed", failure)
                self._breaker.failed(attempt.facts, failure, time.monotonic())
                if not failure.retriable or (attempt.released and not self._may_continue()):
                    raise final_error(self.attempts) from failure
                continue
            except BaseException:  # the caller left, or the process is stopping
                attempt.end("aborted")
                raise
            attempt.end("ok")
            self._breaker.succeeded(attempt.facts, time.monotonic())
            return
        if not self.attempts and time.monotonic() >= self._plan.deadline:
            raise ServiceUnavailable(
                "The request's time was over before a model could be called. Try again.",
                headers={"Retry-After": "5"},
            )
        raise final_error(self.attempts)

    async def _attempt(self, attempt: AttemptRecord) -> AsyncGenerator[StreamEvent]:
        """The arm's events, held back until its answer can no longer be replaced.

        Until then a failure leaves no trace and the next arm answers instead. A stream is released with its
        first content, and a continuation once the joiner knows how it follows the delivered text. A
        completion that is not streamed is released when it is whole.
        """
        held: list[StreamEvent] = []
        joiner = ContinuationJoiner(self._delivered.text)
        limits = self._plan.output_limits(attempt.arm, self.attempts)
        request = self._request_for(limits)
        visible = self._visible_limit(limits, attempt.facts)
        attempt.most_output_tokens, attempt.allowed_output_tokens = request.max_output_tokens, limits.allowed
        attempt.expected_reasoning = self._plan.expected_reasoning.get(attempt.arm, 0) * request.n
        attempt.choices = request.n
        attempt.calls = upstream_calls(request, attempt.facts, attempt.arm.effort)
        upstream = self._upstreams.complete(
            request,
            attempt.facts,
            attempt.arm.effort,
            stream=self._plan.stream,
            first_byte_s=self._patience_s(attempt.arm),
        )
        async with aclosing(upstream):
            while (event := await self._next_or_end(upstream, attempt, visible)) is not None:
                attempt.note(event)
                for joined in self._joined(event, joiner):
                    held += (joined,) if visible is None else visible.of(joined)
                begun = attempt.ttft_ms is not None and joiner.joined
                if attempt.released or (self._plan.stream and begun):
                    attempt.released = True
                    for ready in held:
                        yield ready
                    held.clear()
        if visible is not None and visible.has_cut:
            held += visible.finishes()
            attempt.finish = FinishReason.LENGTH
        if attempt.finish is FinishReason.CONTENT_FILTER and attempt.ttft_ms is None:
            raise UpstreamFailure(FailureKind.REFUSED, "The provider refused this content.")
        attempt.end("ok")
        for ready in held:
            yield ready

    def _joined(self, event: StreamEvent, joiner: ContinuationJoiner) -> list[StreamEvent]:
        """The event as the caller gets it, after the text that earlier attempts delivered."""
        if len(self.attempts) > 1 and self._delivered.text:
            if isinstance(event, Started):
                return []  # the caller has had the start of this answer
            if isinstance(event, TextDelta):
                text = joiner.feed(event.text)
                return [TextDelta(text)] if text else []
            if isinstance(event, Finished | ToolCallDelta) and (text := joiner.end()):
                return [TextDelta(text), event]
        return [event]

    def _may_continue(self) -> bool:
        """Return whether the next arm may continue the part of a cut stream that the caller has read."""
        return self._plan.rescue and self._delivered.continuable and can_be_continued(self._plan.request)

    def _request_for(self, limits: OutputLimits) -> ChatRequest:
        """The caller's request, or one for the rest of its answer, limited to what is left to spend."""
        request = continuation(self._plan.request, self._delivered.text)
        if limits.total is None:
            return request
        return msgspec.structs.replace(
            request, max_output_tokens=limits.total, max_answer_tokens=limits.answer
        )

    def _visible_limit(self, limits: OutputLimits, facts: ModelFacts) -> AnswerLimit | None:
        """The visible limit where the provider does not hold to it, because its own limit is higher."""
        if limits.answer is None or limits.total is None or limits.total <= limits.answer:
            return None
        return AnswerLimit(limits.answer, self._plan.counter(facts), self._plan.request.n)

    async def _next_or_end(
        self, upstream: AsyncGenerator[StreamEvent], attempt: AttemptRecord, visible: AnswerLimit | None
    ) -> StreamEvent | None:
        """The next event; None at the end, or when the caller's visible limit ends the answer before it.

        Providers report usage at the end of a stream. So a short rest is read, without being passed on, and
        the usage is exact. A longer rest would only cost time and money: the call is closed, and its usage is
        estimated. A failure after the limit is no failure for the caller, who has the whole answer.
        """
        if visible is None or not visible.is_reached:
            return await self._next_event(upstream, attempt, self._plan.deadline)
        if attempt.limit_reached_at is None:
            attempt.limit_reached_at = time.monotonic()
        until = min(self._plan.deadline, attempt.limit_reached_at + READ_ON_S)
        try:
            return await self._next_event(upstream, attempt, until)
        except UpstreamFailure:
            attempt.ended_early = True
            return None

    async def _next_event(
        self, upstream: AsyncGenerator[StreamEvent], attempt: AttemptRecord, limit: float
    ) -> StreamEvent | None:
        if self._plan.stream and attempt.ttft_ms is None:
            limit = min(limit, attempt.began + self._patience_s(attempt.arm))
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + limit - time.monotonic()):
                return await anext(upstream, None)
        except TimeoutError:
            waited = time.monotonic() - attempt.began
            raise UpstreamFailure(FailureKind.TIMEOUT, f"no answer within {waited:.1f} s") from None

    def _patience_s(self, arm: Arm) -> float:
        """Seconds until the first byte: longer for an arm that by forecast thinks for longer."""
        plan = self._plan
        expected_ms = (plan.expected_ttft_ms if plan.stream else plan.expected_latency_ms).get(arm, 0)
        patience_s = max(plan.first_byte_s, plan.patience * expected_ms / 1000)
        return min(patience_s, max(0.001, plan.deadline - time.monotonic()))

    async def _next_arm(self) -> Arm | None:
        """The next arm that the last failure does not rule out, or the last arm again after a wait."""
        if len(self.attempts) >= MAX_ATTEMPTS or time.monotonic() >= self._plan.deadline:
            return None
        last = self.attempts[-1] if self.attempts else None
        while self._remaining:
            arm = self._remaining.pop(0)
            facts = self._plan.facts[arm.model]
            if last is not None and _would_fail_alike(last, facts):
                continue
            if self._plan.output_limits(arm, self.attempts).total == 0:
                continue
            if await self._breaker.acquire(facts, time.monotonic(), self._plan.first_byte_s):
                return arm
        return await self._same_arm_after_wait(last) if last is not None else None

    async def _same_arm_after_wait(self, last: AttemptRecord) -> Arm | None:
        """The last arm, if its provider says how long to wait and that leaves half the time for an answer."""
        failure = last.failure
        if failure is None or failure.retry_after_s is None:
            return None
        tries = sum(attempt.arm == last.arm for attempt in self.attempts)
        time_left = self._plan.deadline - time.monotonic()
        if tries > failure.same_arm_retries or failure.retry_after_s > time_left / 2:
            return None
        await asyncio.sleep(failure.retry_after_s)
        return last.arm


def _would_fail_alike(last: AttemptRecord, facts: ModelFacts) -> bool:
    """Return whether this model would fail for the same reason as the last attempt."""
    failure = last.failure
    if failure is None:
        return False
    if failure.scope == "provider" and facts.provider == last.facts.provider:
        return True
    if failure.needs_larger_window:
        return facts.max_input_tokens <= last.facts.max_input_tokens
    return facts.id == last.facts.id
