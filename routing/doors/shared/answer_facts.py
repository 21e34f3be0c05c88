"""The facts about an answer that all doors report beside its text: headers, routing, cost, fidelity."""

from decimal import Decimal
from typing import Any

import msgspec
from django.http import HttpRequest

from routing.decide.decision import Decision
from routing.doors.shared.errors import header_value, validation_error
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.execute.attempt import AttemptSummary
from routing.pipeline import Answer, Context
from routing.steps.settlement import Settled

_MAX_IDEMPOTENCY_KEY = 255  # characters


def context(request: HttpRequest, door: str, received_at: float) -> Context:
    """The context of a chat request. Raises ValidationError for an invalid Idempotency-Key."""
    key = request.headers.get("Idempotency-Key") or None
    if key is not None and (len(key) > _MAX_IDEMPOTENCY_KEY or key != header_value(key)):
        rule = f"Must be at most {_MAX_IDEMPOTENCY_KEY} printable ASCII characters."
        raise validation_error([{"field": "Idempotency-Key", "message": rule}])
    return Context(
        request_id=request.request_id,  # type: ignore[attr-defined]
        door=door,
        received_at=received_at,
        idempotency_key=key,
    )


def headers(answer: Answer, settled: Settled | None = None) -> dict[str, str]:
    """The headers of a chat response. A stream has no `settled`: its cost is not known yet."""
    facts = answer.facts
    values = {
        "X-RoutePlex-Model": facts.id,
        "X-RoutePlex-Provider": facts.provider,
        "X-RoutePlex-Strategy": str(answer.strategy),
        "X-RoutePlex-Fallback-Used": str(settled.fallback_used if settled else answer.fallback_used).lower(),
        **answer.rate_limit,
    }
    if settled is not None and settled.cost_usd is not None:
        values["X-RoutePlex-Cost-USD"] = f"{settled.cost_usd:f}"
    if (joined := "".join(values.values())).isascii() and joined.isprintable():
        return values
    return {name: header_value(value) for name, value in values.items()}


def usd(amount: Decimal | None) -> float | None:
    """USD as the shortest JSON number that stands for the same amount, exact to 1e-9."""
    return None if amount is None else float(round(amount, 9))


def routing(decision: Decision, settled: Settled) -> dict[str, Any]:
    """Why this model answered: the object `routing`."""
    record = decision.record
    report: dict[str, Any] = {
        "query_type": record.query_type,
        "complexity": round(record.complexity, 4),
        "reason": record.reason,
        "candidates_considered": decision.considered,
        "attempts": [_attempt(attempt) for attempt in settled.attempts],
    }
    if settled.rescued:
        report["rescued"] = True
    if record.notes:
        report["notes"] = list(record.notes)
    return report


def fidelity(settled: Settled) -> dict[str, Any]:
    """How each parameter was handled, and whether the output has the requested form."""
    report: dict[str, Any] = {"parameters": msgspec.to_builtins(settled.fidelity.parameters)}
    if settled.fidelity.output is not None:
        report["output"] = msgspec.to_builtins(settled.fidelity.output)
    return report


def who(answer: Answer) -> dict[str, Any]:
    """The fields of `x_routeplex` that are known before the answer."""
    return {
        "request_id": answer.request_id,
        "provider": answer.facts.provider,
        "strategy": str(answer.strategy),
        "fallback_used": answer.fallback_used,
    }


def extra(answer: Answer, settled: Settled, enhancement: Enhancement | None) -> dict[str, Any]:
    """The object `x_routeplex` of the doors under `/v1`."""
    fields = who(answer) | {
        "provider": settled.provider,
        "fallback_used": settled.fallback_used,
        "cost_usd": usd(settled.cost_usd),
        "latency_ms": settled.latency_ms,
        "routing": routing(answer.decision, settled),
        "fidelity": fidelity(settled),
    }
    if enhancement is not None:
        fields["enhancement"] = msgspec.to_builtins(enhancement)
    return fields


def _attempt(attempt: AttemptSummary) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(attempt)
    if attempt.error is None:
        del fields["error"]
    return fields
