"""Execute: the plan for running the decided chain of arms, within the hold and the request's deadline."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from billing.usage import Usage
from core.hot_settings import hot
from routing.decide.prediction.tokens import exact_count, piece_counters
from routing.execute.answer_limit import Counter
from routing.execute.attempt import AttemptRecord, InputCount
from routing.execute.chain import Execution, OutputLimits, Plan
from routing.language.arms import Arm
from routing.language.chat import STANDARD_TIERS, ChatRequest, Mode, priced_tier
from routing.state.runtime import Runtime
from routing.steps.attempt_prices import price
from routing.steps.attempt_usage import input_count
from routing.steps.opened_request import OpenedRequest
from routing.steps.reservation import SHORT_ANSWER


def execute(opened: OpenedRequest, runtime: Runtime) -> Execution:
    """The execution of an opened request. Nothing is sent until its `events()` are iterated."""
    incoming, decision = opened.incoming, opened.decision
    steering, models = incoming.steering, opened.admitted.snapshot.models

    def output_limits(arm: Arm, attempts: Sequence[AttemptRecord]) -> OutputLimits:
        return _output_limits(opened, arm, attempts, runtime)

    def counted_input(arm: Arm) -> InputCount:
        tokens = next(forecast.input_tokens for forecast in decision.forecast if forecast.arm == arm)
        return input_count(incoming.request, tokens, models[arm.model])

    plan = Plan(
        request=_as_sent(opened),
        chain=decision.chain,
        facts=models,
        expected_ms={
            forecast.arm: forecast.ttft_ms if steering.stream else forecast.latency_ms
            for forecast in decision.forecast
        },
        stream=steering.stream,
        first_byte_s=hot.FIRST_BYTE_TIMEOUT_S,
        patience=hot.FIRST_BYTE_PATIENCE,
        deadline=incoming.deadline,
        output_limits=output_limits,
        counter=lambda facts: Counter(*piece_counters(facts)),
        expected_reasoning={forecast.arm: forecast.reasoning_tokens for forecast in decision.forecast},
        input_count=counted_input,
        unpriced_tier=_unpriced_tier(opened, runtime),
        rescue=incoming.caller.rescue if steering.rescue is None else steering.rescue,
    )
    return Execution(plan, runtime.upstreams, runtime.breaker)


def _unpriced_tier(opened: OpenedRequest, runtime: Runtime) -> frozenset[Arm]:
    """The arms whose price for the requested service tier is not known."""
    requested, book = opened.incoming.request.service_tier, runtime.catalog.price_book
    if requested is None or requested in STANDARD_TIERS:
        return frozenset()
    tier, at = priced_tier(requested), opened.incoming.at
    return frozenset(arm for arm in opened.decision.chain if not tier or book.at(arm.model, at, tier) is None)


def _as_sent(opened: OpenedRequest) -> ChatRequest:
    """The request with the facts about it that adapters need."""
    incoming, admitted = opened.incoming, opened.admitted
    continues = incoming.steering.mode is Mode.SMART and admitted.conversation is not None
    return msgspec.structs.replace(incoming.request, named_model=admitted.models.pinned, continues=continues)


def _output_limits(
    opened: OpenedRequest, arm: Arm, attempts: Sequence[AttemptRecord], runtime: Runtime
) -> OutputLimits:
    """How long this arm's answer may be: within hold and limit, after the parts that are charged already."""
    book = runtime.catalog.price_book
    request, facts = opened.incoming.request, opened.admitted.snapshot.models[arm.model]
    delivered = [attempt for attempt in attempts if attempt.outcome == "partial"]
    charged = [price(attempt, book, opened.row.created_at) for attempt in delivered]
    usd = sum((attempt.usd or Decimal(0) for attempt in charged), Decimal(0))
    usage = sum((attempt.usage for attempt in charged), Usage())
    most = opened.reservation.most_output_tokens(opened.hold, arm, usd, usage.total_tokens)
    allowed, answer = opened.reservation.limit(arm), request.max_answer_tokens
    if charged and answer is not None and allowed is not None:
        written = sum(exact_count(attempt.written, facts) for attempt in delivered)
        rest = max(answer - written, SHORT_ANSWER)
        allowed, answer = max(allowed - (answer - rest), SHORT_ANSWER), rest
    elif charged and allowed is not None:
        allowed = max(allowed - usage.output_tokens, SHORT_ANSWER)
    total = allowed if most is None or (allowed is not None and allowed < most and most > 0) else most
    return OutputLimits(total, allowed, answer)
