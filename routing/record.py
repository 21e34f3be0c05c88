"""Turns a request and its run into ledger rows: what it was, what each attempt cost, how it ended."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from django.conf import settings

from accounts.caller import Caller
from accounts.errors import ApiError
from billing.ledger import Settlement, usage_fields
from billing.models import Attempt, Request
from billing.prices import PriceBook, UnitPrices, cost, unit_prices
from billing.usage import Usage
from routing.arms import Arm
from routing.chat import ChatRequest, Role, Steering
from routing.decide.decision import Decision
from routing.decide.tokens import exact_count
from routing.execute.attempt import Attempted, AttemptSummary

# An open row older than its request could live was left by a process that died: the sweeper settles it.
_LEASE_GRACE = timedelta(seconds=60)


class Settled(msgspec.Struct, frozen=True):
    """The last event of an answer: how it ended, as committed to the ledger. Times in ms, money in USD."""

    model_used: str
    provider: str
    arm: Arm
    usage: Usage
    cost_usd: Decimal | None  # None: unpriced
    baseline_usd: Decimal | None
    latency_ms: int
    ttft_ms: int | None
    fallback_used: bool
    finish_reason: str
    attempts: tuple[AttemptSummary, ...]


class Priced(msgspec.Struct, frozen=True):
    """Usage with what it cost; `usd` None: no price is known for that model and time."""

    usage: Usage
    usd: Decimal | None
    prices: UnitPrices | None
    version: str


def opening(
    request_id: str,
    door: str,
    request: ChatRequest,
    steering: Steering,
    caller: Caller,
    decision: Decision,
    now: datetime,
) -> Request:
    """The row to commit before anything is sent upstream. No text of the request is in it."""
    trace, first = decision.trace, decision.chain[0]
    return Request(
        id=request_id,
        account_id=caller.account_id,
        key_id=caller.key_id,
        created_at=now,
        lease_until=now + timedelta(seconds=settings.REQUEST_TIMEOUT_S) + _LEASE_GRACE,
        door=door,
        mode=steering.mode,
        strategy=trace.strategy,
        streamed=steering.stream,
        query_type=trace.query_type,
        requested_model=steering.model or "",
        routed_model=first.model,
        routed_effort=first.effort or "",
        held_usd=expected_usd(decision),
        baseline_model=trace.baseline.model if trace.baseline else "",
        selection_probability=trace.selection_probability,
        metadata=request.metadata,
        prompt_hash=_prompt_hash(caller.account_id, request),
        trace=trace,
    )


def expected_usd(decision: Decision) -> Decimal:
    """What the first arm is expected to cost, in USD."""
    return Decimal(str(decision.forecast[0].cost_usd or 0)).quantize(Decimal("1e-9"))


def price(attempt: Attempted, input_tokens: int, book: PriceBook, moment: datetime) -> Priced:
    """What an attempt used and cost: as reported, or counted by us when text came without a report."""
    usage = attempt.usage
    text = "".join(attempt.text)
    if usage is None or (attempt.outcome != "ok" and text and usage.output_tokens == 0):
        known = usage or Usage(uncached_input_tokens=input_tokens if text else 0)
        output_tokens = exact_count(text, attempt.facts) if text else 0
        usage = msgspec.structs.replace(known, output_tokens=output_tokens, estimated=bool(text))
    period = book.at(attempt.arm.model, moment)
    if period is None:
        return Priced(usage, None if usage.total_tokens else Decimal(0), None, "")
    prices = unit_prices(period.tiers, usage.input_tokens)
    return Priced(usage, cost(usage, prices), prices, period.version)


def attempt_row(request_id: str, attempt: Attempted, priced: Priced) -> Attempt:
    failure = attempt.failure
    return Attempt(
        request_id=request_id,
        number=attempt.number,
        model=attempt.arm.model,
        effort=attempt.arm.effort or "",
        provider=attempt.facts.provider,
        outcome=attempt.outcome or Attempt.Outcome.ABORTED,
        error_kind=failure.kind if failure else "",
        error_message=failure.message[:500] if failure else "",
        status_code=failure.status if failure else 200 if attempt.outcome == "ok" else None,
        started_at=attempt.started_at,
        latency_ms=attempt.latency_ms,
        ttft_ms=attempt.ttft_ms,
        cost_usd=priced.usd,
        provider_request_id=(attempt.response_id or (failure.provider_request_id if failure else "") or "")[
            :160
        ],
        **usage_fields(priced.usage),
    )


def settlement(
    row: Request,
    attempts: Sequence[Attempted],
    priced: Sequence[Priced],
    error: ApiError | None,
    latency_ms: int,
    book: PriceBook,
) -> Settlement:
    """How the request ended. What failed attempts were billed is shown as wasted and not charged."""
    last = attempts[-1] if attempts else None
    if last is None or last.outcome == "failed":
        return Settlement(
            request_id=row.id,
            status=Request.Status.FAILED,
            settled_at=datetime.now(UTC),
            latency_ms=latency_ms,
            wasted_usd=sum((one.usd or Decimal(0) for one in priced), Decimal(0)),
            fallback_used=len(attempts) > 1,
            error_code=error.code if error else "",
            error_message=error.message if error else "",
        )
    charged = priced[-1]
    return Settlement(
        request_id=row.id,
        status=_STATUS[last.outcome or "aborted"],
        settled_at=datetime.now(UTC),
        latency_ms=latency_ms,
        usage=charged.usage,
        cost_usd=charged.usd,
        wasted_usd=sum((one.usd or Decimal(0) for one in priced[:-1]), Decimal(0)),
        baseline_usd=_baseline_usd(row, charged.usage, book),
        unit_prices=charged.prices,
        price_version=charged.version,
        served_model=last.arm.model,
        served_effort=last.arm.effort or "",
        provider=last.facts.provider,
        upstream_model=last.upstream_model[:160],
        fallback_used=_fell_back(row, last, attempts),
        ttft_ms=last.ttft_ms,
        finish_reason=last.finish or "",
        error_code=error.code if error else "",
        error_message=error.message if error else "",
    )


_STATUS = {
    "ok": Request.Status.SUCCEEDED,
    "partial": Request.Status.PARTIAL,
    "aborted": Request.Status.ABORTED,
}


def _fell_back(row: Request, last: Attempted, attempts: Sequence[Attempted]) -> bool:
    return last.arm.model != row.routed_model or any(one.arm != last.arm for one in attempts)


def _baseline_usd(row: Request, usage: Usage, book: PriceBook) -> Decimal | None:
    period = book.at(row.baseline_model, row.created_at) if row.baseline_model else None
    return cost(usage, unit_prices(period.tiers, usage.input_tokens)) if period else None


def _prompt_hash(account_id: int, request: ChatRequest) -> str:
    """A keyed one-way hash of the last user message, per account: tells repeats apart, tells nothing else."""
    text = next((message.text for message in reversed(request.messages) if message.role is Role.USER), "")
    key = f"{settings.SECRET_KEY}:{account_id}".encode()
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
