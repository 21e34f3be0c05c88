"""Turns a request and its run into ledger rows: what it was, what each attempt cost, how it ended."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from django.conf import settings

from accounts.caller import Caller
from billing.ledger.ledger import Settlement, usage_fields
from billing.models import Attempt, Request
from billing.prices.prices import PriceBook, UnitPrices, cost, unit_prices
from billing.usage import Usage
from core.errors import ApiError
from routing.decide.decision import Decision
from routing.decide.prediction.tokens import exact_count
from routing.execute.attempt import Attempted, AttemptSummary
from routing.execute.output_check import OutputCheck
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Role, Steering
from routing.language.fidelity import Fidelity
from routing.steps.receipt import receipt
from routing.steps.reservation import UNPRICED

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
    rescued: bool = False  # a cut stream, continued by another arm
    fidelity: Fidelity = Fidelity()


class Priced(msgspec.Struct, frozen=True):
    """Usage with what it cost; `usd` None: no price is known for that model and time."""

    usage: Usage
    usd: Decimal | None
    prices: UnitPrices | None
    version: str
    charged: bool  # the caller got its answer, or a part of it


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
        baseline_model=trace.baseline.model if trace.baseline else "",
        selection_probability=trace.selection_probability,
        metadata=request.metadata,
        prompt_hash=_prompt_hash(caller.account_id, request),
        trace=trace,
    )


def price(attempt: Attempted, input_tokens: int, book: PriceBook, moment: datetime) -> Priced:
    """What an attempt used and cost: as reported, or counted by us when text came without a report."""
    usage = attempt.usage
    text = "".join(attempt.text)
    if usage is None or (attempt.outcome != "ok" and text and usage.output_tokens == 0):
        known = usage or Usage(uncached_input_tokens=input_tokens * attempt.calls if text else 0)
        output_tokens = exact_count(text, attempt.facts) if text else 0
        usage = msgspec.structs.replace(known, output_tokens=output_tokens, estimated=bool(text))
    charged = attempt.outcome != "failed"  # a part that reached the caller is "partial" or "aborted"
    period = book.at(attempt.arm.model, moment)
    if period is None:
        return Priced(usage, None if usage.total_tokens else Decimal(0), None, "", charged)
    prices = unit_prices(period.tiers, usage.input_tokens // attempt.calls)  # a tier is one call's
    return Priced(usage, cost(usage, prices), prices, period.version, charged)


def attempt_rows(request_id: str, attempts: Sequence[Attempted], priced: Sequence[Priced]) -> list[Attempt]:
    return [_attempt_row(request_id, *both) for both in zip(attempts, priced, strict=True)]


def _attempt_row(request_id: str, attempt: Attempted, priced: Priced) -> Attempt:
    failure = attempt.failure
    provider_request_id = attempt.response_id or (failure.provider_request_id if failure else "") or ""
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
        charged=priced.charged,
        unit_prices=msgspec.to_builtins(priced.prices),
        price_version=priced.version,
        provider_request_id=provider_request_id[:160],
        **usage_fields(priced.usage),
    )


def never_begun(row: Request, error: ApiError | None) -> Settlement:
    """The end of a request that was given up before anything was sent upstream."""
    return Settlement(
        request_id=row.id,
        status=Request.Status.FAILED if error else Request.Status.ABORTED,
        settled_at=datetime.now(UTC),
        latency_ms=round((datetime.now(UTC) - row.created_at).total_seconds() * 1000),
        error_code=error.code if error else "",
        error_message=error.message if error else "",
    )


def fidelity(request: ChatRequest, attempts: Sequence[Attempted], output: OutputCheck) -> Fidelity:
    """What the answer kept of the request; empty when nobody answered."""
    if all(one.outcome == "failed" for one in attempts):
        return Fidelity()
    shown = _shown(attempts)
    is_other = is_other_model(shown.upstream_model, shown.facts.upstream_id)
    return Fidelity(receipt(request, shown, is_other), output.verdict() if shown.outcome == "ok" else None)


def settlement(
    row: Request,
    attempts: Sequence[Attempted],
    priced: Sequence[Priced],
    error: ApiError | None,
    latency_ms: int,
    book: PriceBook,
    kept: Fidelity,
) -> Settlement:
    """How the request ended: charged for every attempt of which the caller got something, a rescue's parts
    together. What other attempts were billed is shown as wasted."""
    charged = [one for one in priced if one.charged]
    wasted_usd = _sum_usd([one for one in priced if not one.charged]) or Decimal(0)
    told = {
        "request_id": row.id,
        "settled_at": datetime.now(UTC),
        "latency_ms": latency_ms,
        "wasted_usd": wasted_usd,
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
    }
    if not charged:
        return Settlement(
            status=Request.Status.FAILED if attempts or error else Request.Status.ABORTED,
            fallback_used=len(attempts) > 1,
            **told,  # type: ignore[arg-type]
        )
    last, given = attempts[-1], [one for one in attempts if one.outcome != "failed"]
    shown = _shown(attempts)
    usage = sum((one.usage for one in charged), Usage())
    usd = _sum_usd(charged)
    return Settlement(
        status=_STATUS[last.outcome or "aborted"],
        usage=usage,
        cost_usd=usd,
        held_usd=cost(usage, UNPRICED) if usd is None else Decimal(0),
        baseline_usd=_baseline_usd(row, charged[-1].usage, book),
        unit_prices=charged[-1].prices,
        price_version=charged[-1].version,
        served_model=shown.arm.model,
        served_effort=shown.arm.effort or "",
        provider=shown.facts.provider,
        upstream_model=shown.upstream_model[:160],
        other_model_served=is_other_model(shown.upstream_model, shown.facts.upstream_id),
        fallback_used=_fell_back(row, shown, attempts),
        rescued=len(given) > 1 and last.outcome == "ok",
        ttft_ms=given[0].ttft_ms,
        finish_reason=shown.finish or "",
        fidelity=msgspec.to_builtins(kept),
        output_valid=kept.output.valid if kept.output else None,
        **told,  # type: ignore[arg-type]
    )


def _shown(attempts: Sequence[Attempted]) -> Attempted:
    """The attempt that answered: a rescue may have failed, then the part before it is what was served."""
    return next(one for one in reversed(attempts) if one.outcome != "failed")


def settled(end: Settlement, attempts: Sequence[Attempted], chosen: Arm, kept: Fidelity) -> Settled:
    """The last event of an answer, once it is settled. `chosen`: told when nothing was attempted."""
    return Settled(
        model_used=end.served_model,
        provider=end.provider,
        arm=attempts[-1].arm if attempts else chosen,
        usage=end.usage,
        cost_usd=end.cost_usd,
        baseline_usd=end.baseline_usd,
        latency_ms=end.latency_ms,
        ttft_ms=end.ttft_ms,
        fallback_used=end.fallback_used,
        finish_reason=end.finish_reason,
        attempts=tuple(attempt.summary() for attempt in attempts),
        rescued=end.rescued,
        fidelity=kept,
    )


def is_other_model(served: str, asked: str) -> bool:
    """Whether a provider names another model than it was asked for; a dated snapshot of it is the same."""
    if not served or served == asked:
        return False
    return not _undated(served).startswith(_undated(asked)) and not _undated(asked).startswith(
        _undated(served)
    )


def _undated(model: str) -> str:
    return _DATE.sub("", model.rpartition("/")[2].removesuffix("-latest"))


_DATE = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{3,4})$")  # -20250929, -2025-08-07, -001


def _sum_usd(priced: Sequence[Priced]) -> Decimal | None:
    """None: one of them has no price."""
    if any(one.usd is None for one in priced):
        return None
    return sum((one.usd for one in priced if one.usd is not None), Decimal(0))


_STATUS = {
    "ok": Request.Status.SUCCEEDED,
    "partial": Request.Status.PARTIAL,
    "aborted": Request.Status.ABORTED,
    "failed": Request.Status.PARTIAL,  # what was given before stays given
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
