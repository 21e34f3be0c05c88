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
from routing.execute.attempt import UNCOUNTED, AttemptRecord, InputCount
from routing.execute.breaker import Breaker
from routing.execute.continuation_joiner import ContinuationJoiner
from routing.execute.outcome import final_error, not_read_in_time
from routing.execute.rescue import DeliveredText, can_be_continued, continuation
from routing.execute.wait_limit import WaitLimit
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    priced_tier,
)
from routing.language.choices import upstream_calls
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.upstreams import Upstreams

MAX_ATTEMPTS = 3

# A silent arm leaves the others what the quickest of them needs: twice its forecast time, because half of all
# answers take longer than forecast; at most half of the time, so that a slow model is not cut short for
# another slow model.
SPARE_FORECASTS = 2.0
MOST_SPARE_SHARE = 0.5

RETRY_PAUSE_S = 0.5  # before the same arm is tried again, where its provider states no time
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


def _uncounted(arm: Arm) -> InputCount:
    return UNCOUNTED


def _no_counter(facts: ModelFacts) -> Counter:
    raise AssertionError("a limit of the visible answer needs a counter of tokens")


class Plan(msgspec.Struct, frozen=True):
    """The chain to run, with each arm's facts and forecast. What only an attempt needs is a function."""

    request: ChatRequest
    chain: tuple[Arm, ...]
    facts: Mapping[str, ModelFacts]
    expected_ms: Mapping[Arm, float]  # forecast until the first byte: of a stream's first token, or of all
    stream: bool
    first_byte_s: float  # without content for that long, an arm has failed; see `patience`
    patience: float  # an arm may be silent for this many times its forecast time, if that is longer
    deadline: float  # time.monotonic() at which the whole request ends
    # What an arm may write after these attempts, by the caller's limit and by what is left to spend.
    output_limits: Callable[[Arm, Sequence[AttemptRecord]], OutputLimits] = _unlimited
    counter: Callable[[ModelFacts], Counter] = _no_counter  # of the tokens of visible text
    expected_reasoning: Mapping[Arm, int] = {}  # tokens
    input_count: Callable[[Arm], InputCount] = _uncounted
    unpriced_tier: frozenset[Arm] = frozenset()  # the request's service tier has no price for these
    rescue: bool = False  # a stream that is cut may be continued by the next arm


class Execution:
    """One run of a plan. Iterate `batches()` once; `attempts` has the record, also after an error."""

    def __init__(self, plan: Plan, upstreams: Upstreams, breaker: Breaker) -> None:
        self._plan, self._upstreams, self._breaker = plan, upstreams, breaker
        self._remaining = list(plan.chain)
        self._delivered = DeliveredText()
        self._wait_limit = WaitLimit()
        self._with_caller_s = 0.0  # how long events waited for the caller to take them
        self.attempts: list[AttemptRecord] = []

    async def batches(self) -> AsyncGenerator[list[StreamEvent]]:
        """Neutral events of the arm that answers, those that arrived together at once.

        Raises the ApiError that the caller gets.

        Each pass of the loop is one attempt. It ends in one of four ways: "ok"; "failed", when nothing of it
        was released to the caller, so that the next arm starts from the beginning; "partial", when the caller
        has read some of it, so that the next arm may only continue it; "aborted", when the caller left. An
        UpstreamFailure also counts against the circuit breaker, and one that no arm could avoid ends the loop
        at once.
        """
        while (planned := await self._next_arm()) is not None:
            arm, limits = planned
            attempt = AttemptRecord(len(self.attempts) + 1, arm, self._plan.facts[arm.model])
            self.attempts.append(attempt)
            try:
                async with aclosing(self._attempt(attempt, limits)) as batches:
                    async for batch in batches:
                        for event in batch:
                            self._delivered.note(event)
                        offered_at = time.monotonic()
                        yield batch
                        self._with_caller_s += time.monotonic() - offered_at
            except UpstreamFailure as failure:
                attempt.end("partial" if attempt.released else "failed", failure)
                if self._is_callers_delay(attempt, time.monotonic()):
                    attempt.caller_left = True
                    raise not_read_in_time() from failure
                self._breaker.failed(attempt.facts, failure, time.monotonic())
                if not failure.retriable or (attempt.released and not self._may_continue()):
                    raise final_error(self.attempts) from failure
                continue
            except BaseException:  # the caller left, or the process is stopping
                attempt.end("aborted")
                attempt.caller_left = True
                raise
            finally:
                self._wait_limit.close()
            attempt.end("ok")
            self._breaker.succeeded(attempt.facts, time.monotonic())
            return
        if not self.attempts and time.monotonic() >= self._plan.deadline:
            raise ServiceUnavailable(
                "The request's time was over before a model could be called. Try again.",
                headers={"Retry-After": "5"},
            )
        raise final_error(self.attempts, self._wait_s())

    def _wait_s(self) -> float:
        """Seconds until the first model of the chain may be tried."""
        now, facts = time.monotonic(), self._plan.facts
        return min(self._breaker.wait_s(facts[arm.model], now) for arm in self._plan.chain)

    async def _attempt(
        self, attempt: AttemptRecord, limits: OutputLimits
    ) -> AsyncGenerator[list[StreamEvent]]:
        """The arm's events, held back until its answer can no longer be replaced.

        Until then a failure leaves no trace and the next arm answers instead. A stream is released with its
        first content, and a continuation once the joiner knows how it follows the delivered text. A
        completion that is not streamed is released when it is whole.
        """
        held: list[StreamEvent] = []
        joiner = ContinuationJoiner(self._delivered.text)
        request = self._request_for(limits)
        if attempt.arm in self._plan.unpriced_tier:
            attempt.lost_tier = request.service_tier or ""
            request = msgspec.structs.replace(request, service_tier=None)
        attempt.service_tier = priced_tier(request.service_tier)
        visible = self._visible_limit(limits, attempt.facts)
        attempt.most_output_tokens, attempt.allowed_output_tokens = request.max_output_tokens, limits.allowed
        attempt.expected_reasoning = self._plan.expected_reasoning.get(attempt.arm, 0) * request.n
        attempt.choices = request.n
        attempt.input_count = self._plan.input_count(attempt.arm)
        attempt.continued = self._delivered.text
        attempt.calls = upstream_calls(request, attempt.facts, attempt.arm.effort)
        time_left = self._plan.deadline - time.monotonic()
        spare_s = self._spare_s(attempt.arm, time_left)
        attempt.patience_s = self._patience_s(attempt.arm, time_left, spare_s)
        attempt.ends_at = self._plan.deadline - spare_s
        upstream = self._upstreams.complete(
            request,
            attempt.facts,
            attempt.arm.effort,
            stream=self._plan.stream,
            first_byte_s=attempt.patience_s,
        )
        async with aclosing(upstream):
            while True:
                if visible is None:
                    batch = await self._next_batch(upstream, attempt, self._plan.deadline)
                else:
                    batch = await self._next_or_end(upstream, attempt, visible)
                if batch is None:
                    break
                for event in batch:
                    attempt.note(event)
                if visible is None and attempt.number == 1:
                    held += batch
                else:
                    for event in batch:
                        for joined in self._joined(event, joiner):
                            held += (joined,) if visible is None else visible.of(joined)
                begun = attempt.ttft_ms is not None and joiner.joined
                if held and (attempt.released or (self._plan.stream and begun)):
                    attempt.released = True
                    ready, held = held, []
                    yield ready
        if visible is not None and visible.has_cut:
            held += visible.finishes()
            attempt.finish = FinishReason.LENGTH
        if attempt.finish is FinishReason.CONTENT_FILTER and attempt.ttft_ms is None:
            raise UpstreamFailure(FailureKind.REFUSED, "The provider refused this content.")
        attempt.end("ok")
        if held:
            yield held

    def _joined(self, event: StreamEvent, joiner: ContinuationJoiner) -> list[StreamEvent]:
        """The event as the caller gets it, after the text that earlier attempts delivered."""
        if len(self.attempts) > 1 and self._delivered:
            if isinstance(event, Started):
                return []  # the caller has had the start of this answer
            if isinstance(event, TextDelta):
                text = joiner.feed(event.text)
                return [TextDelta(text)] if text else []
            if isinstance(event, Finished | ToolCallDelta) and (text := joiner.end()):
                return [TextDelta(text), event]
        return [event]

    def _is_callers_delay(self, attempt: AttemptRecord, now: float) -> bool:
        """Return whether the request's time is over because the caller read slowly, not for the provider."""
        return now >= self._plan.deadline and self._with_caller_s > (now - attempt.began) / 2

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
        self, upstream: AsyncGenerator[list[StreamEvent]], attempt: AttemptRecord, visible: AnswerLimit
    ) -> list[StreamEvent] | None:
        """The next events; None at the end, or when the caller's visible limit ends the answer before it.

        Providers report usage at the end of a stream. So a short rest is read, without being passed on, and
        the usage is exact. A longer rest would only cost time and money: the call is closed, and its usage is
        estimated. A failure after the limit is no failure for the caller, who has the whole answer.
        """
        if not visible.is_reached:
            return await self._next_batch(upstream, attempt, self._plan.deadline)
        if attempt.limit_reached_at is None:
            attempt.limit_reached_at = time.monotonic()
        until = min(self._plan.deadline, attempt.limit_reached_at + READ_ON_S)
        try:
            return await self._next_batch(upstream, attempt, until)
        except UpstreamFailure:
            attempt.ended_early = True
            return None

    async def _next_batch(
        self, upstream: AsyncGenerator[list[StreamEvent]], attempt: AttemptRecord, limit: float
    ) -> list[StreamEvent] | None:
        if not self._plan.stream:
            limit = min(limit, attempt.ends_at)  # bytes may drip in for as long as the request lasts
        elif attempt.ttft_ms is None:
            limit = min(limit, attempt.began + attempt.patience_s)
        try:
            if time.monotonic() >= limit:  # asyncio's deadline never passes while data is always ready
                raise TimeoutError
            return await self._wait_limit.wait(anext(upstream, None), limit - time.monotonic())
        except TimeoutError:
            waited = time.monotonic() - attempt.began
            raise UpstreamFailure(FailureKind.TIMEOUT, f"no answer within {waited:.1f} s") from None

    def _patience_s(self, arm: Arm, time_left: float, spare_s: float) -> float:
        """Seconds until the first byte: longer for an arm that by forecast thinks for longer.

        While other arms remain, some of the time is left for them.
        """
        patience_s = max(self._plan.first_byte_s, self._plan.patience * self._expected_s(arm))
        return min(patience_s, max(0.001, time_left - spare_s))

    def _spare_s(self, arm: Arm, time_left: float) -> float:
        """The seconds of `time_left` that the arms after this one need."""
        others = [other for other in self._remaining if other.model != arm.model]
        if not others or len(self.attempts) >= MAX_ATTEMPTS:
            return 0.0
        quickest_s = min(self._expected_s(other) for other in others)
        return min(MOST_SPARE_SHARE * time_left, max(self._plan.first_byte_s, SPARE_FORECASTS * quickest_s))

    def _expected_s(self, arm: Arm) -> float:
        return self._plan.expected_ms.get(arm, 0.0) / 1000

    async def _next_arm(self) -> tuple[Arm, OutputLimits] | None:
        """The next arm that the last failure does not rule out, or the last arm again after a wait.

        After a failure, arms whose forecast fits the time that is left come first. When circuit breakers
        pause all of them, the last resort is a probe of one in a long pause.
        """
        if len(self.attempts) >= MAX_ATTEMPTS or time.monotonic() >= self._plan.deadline:
            return None
        last = self.attempts[-1] if self.attempts else None
        paused: list[tuple[Arm, OutputLimits]] = []
        if last is not None:
            time_left = self._plan.deadline - time.monotonic()
            self._remaining.sort(key=lambda arm: self._expected_s(arm) > time_left)
        while self._remaining:
            arm = self._remaining.pop(0)
            facts = self._plan.facts[arm.model]
            if last is not None and _would_fail_alike(last, facts):
                continue
            limits = self._plan.output_limits(arm, self.attempts)
            if limits.total == 0:
                continue
            if await self._breaker.acquire(facts, time.monotonic(), self._plan.first_byte_s):
                return arm, limits
            paused.append((arm, limits))
        if last is not None and (again := await self._same_arm_after_wait(last)) is not None:
            return again
        for arm, limits in paused:
            facts = self._plan.facts[arm.model]
            if await self._breaker.acquire(
                facts, time.monotonic(), self._plan.first_byte_s, last_resort=True
            ):
                return arm, limits
        return None

    async def _same_arm_after_wait(self, last: AttemptRecord) -> tuple[Arm, OutputLimits] | None:
        """The last arm, if its failure allows another try and the wait leaves half the time for an answer.

        It waits as long as the provider says, else RETRY_PAUSE_S. Without such a word the circuit breaker has
        to allow the call as well.
        """
        failure = last.failure
        if failure is None:
            return None
        limits = self._plan.output_limits(last.arm, self.attempts)
        if limits.total == 0:
            return None
        tries = sum(attempt.arm == last.arm for attempt in self.attempts)
        time_left = self._plan.deadline - time.monotonic()
        wait_s = RETRY_PAUSE_S if failure.retry_after_s is None else failure.retry_after_s
        if tries > failure.same_arm_retries or wait_s > time_left / 2:
            return None
        await asyncio.sleep(wait_s)
        if failure.retry_after_s is None and not await self._breaker.acquire(
            last.facts, time.monotonic(), self._plan.first_byte_s
        ):
            return None
        return last.arm, limits


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
