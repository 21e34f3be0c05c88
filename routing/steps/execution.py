"""Execute: the plan for running the decided chain of arms, within the hold and the request's deadline."""

from collections.abc import Sequence
from decimal import Decimal

from django.conf import settings

from billing.usage import Usage
from routing.decide.prediction.tokens import exact_count, piece_counters
from routing.execute.answer_limit import Counter
from routing.execute.attempt import AttemptRecord
from routing.execute.chain import Execution, OutputLimits, Plan
from routing.language.arms import Arm
from routing.state.runtime import Runtime
from routing.steps.attempt_prices import price
from routing.steps.opened_request import OpenedRequest
from routing.steps.reservation import SHORT_ANSWER


def execute(opened: OpenedRequest, runtime: Runtime) -> Execution:
    """The execution of an opened request. Nothing is sent until its `events()` are iterated."""
    incoming, decision = opened.incoming, opened.decision
    steering = incoming.steering

    def output_limits(arm: Arm, attempts: Sequence[AttemptRecord]) -> OutputLimits:
        return _output_limits(opened, arm, attempts, runtime)

    plan = Plan(
        request=incoming.request,
        chain=decision.chain,
        facts=opened.admitted.snapshot.models,
        expected_ttft_ms={forecast.arm: forecast.ttft_ms for forecast in decision.forecast},
        expected_latency_ms={forecast.arm: forecast.latency_ms for forecast in decision.forecast},
        stream=steering.stream,
        first_byte_s=settings.FIRST_BYTE_TIMEOUT_S,
        patience=settings.FIRST_BYTE_PATIENCE,
        deadline=incoming.deadline,
        output_limits=output_limits,
        counter=lambda facts: Counter(*piece_counters(facts)),
        expected_reasoning={forecast.arm: forecast.reasoning_tokens for forecast in decision.forecast},
        rescue=incoming.caller.rescue if steering.rescue is None else steering.rescue,
    )
    return Execution(plan, runtime.upstreams, runtime.breaker)


def _output_limits(
    opened: OpenedRequest, arm: Arm, attempts: Sequence[AttemptRecord], runtime: Runtime
) -> OutputLimits:
    """How long this arm's answer may be: within hold and limit, after the parts that are charged already."""
    book, input_tokens = runtime.catalog.price_book, opened.decision.trace.input_tokens
    request, facts = opened.incoming.request, opened.admitted.snapshot.models[arm.model]
    delivered = [attempt for attempt in attempts if attempt.outcome == "partial"]
    charged = [price(attempt, input_tokens, book, opened.row.created_at) for attempt in delivered]
    usd = sum((attempt.usd or Decimal(0) for attempt in charged), Decimal(0))
    usage = sum((attempt.usage for attempt in charged), Usage())
    most = opened.reservation.most_output_tokens(opened.hold, arm, usd, usage.total_tokens)
    allowed, answer = opened.reservation.limit(arm), request.max_answer_tokens
    if charged and answer is not None and allowed is not None:
        written = sum(exact_count("".join(attempt.text), facts) for attempt in delivered)
        rest = max(answer - written, SHORT_ANSWER)
        allowed, answer = max(allowed - (answer - rest), SHORT_ANSWER), rest
    elif charged and allowed is not None:
        allowed = max(allowed - usage.output_tokens, SHORT_ANSWER)
    total = allowed if most is None or (allowed is not None and allowed < most and most > 0) else most
    return OutputLimits(total, allowed, answer)
