"""Settle: pass on an execution's events, then commit what each attempt cost and how the request ended."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import msgspec
from django.conf import settings

from billing.ledger.ledger import AttemptRow, Settlement
from billing.models import Attempt, Request
from billing.prices.prices import PriceBook, cost
from billing.usage import Usage, total_usage
from billing.usage_columns import usage_fields
from core.database import AWAY, from_database
from core.errors import ApiError, ServiceUnavailable
from core.waiting import done_within
from routing.execute.attempt import AttemptRecord, AttemptSummary, answering, fallback_used
from routing.execute.chain import Execution
from routing.execute.outcome import not_read_in_time
from routing.execute.output_check import OutputCheck
from routing.language.chat import (
    ChatRequest,
    Collector,
    StreamEvent,
    TextDelta,
    caller_limit,
    priced_tier,
)
from routing.language.fidelity import Fidelity, ParameterReceipt, Receipt, Verdict, with_change
from routing.language.reported import identifier
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.state.runtime import Runtime
from routing.steps.attempt_prices import PricedAttempt, price, total_usd
from routing.steps.attempt_usage import count_again, most_tokens
from routing.steps.baseline import baseline_cost
from routing.steps.logged_content import logged_content
from routing.steps.opened_request import OpenedRequest
from routing.steps.read_deadline import ReadDeadline
from routing.steps.reservation import UNPRICED
from routing.steps.usage_alerts import ALERTED, alert_usage

logger = logging.getLogger(__name__)


class Settled(msgspec.Struct, frozen=True):
    """The last event of an answer: how it ended, as committed to the ledger. Times in ms, money in USD."""

    model_used: str
    provider: str
    usage: Usage
    cost_usd: Decimal | None  # None: unpriced
    latency_ms: int
    fallback_used: bool
    finish_reason: str
    attempts: tuple[AttemptSummary, ...]
    rescued: bool = False  # a cut stream, continued by another arm
    fidelity: Fidelity = Fidelity()
    service_tier: str = ""  # flex or priority; empty: standard


Batch = Sequence[StreamEvent | Settled]  # events that arrived together


async def settle(execution: Execution, opened: OpenedRequest, runtime: Runtime) -> AsyncGenerator[Batch]:
    """The execution's events, then one `Settled` after the commit.

    Raises the execution's ApiError, also after the commit. When the caller leaves early, or does not read on
    until the request's deadline, the upstream call is cancelled and the commit runs in the background.
    """
    settler, batches = _Settler(execution, opened, runtime), execution.batches()
    deadline = ReadDeadline(opened.incoming.deadline, partial(settler.end_unread, batches), runtime.finish)
    try:
        try:
            async for batch in batches:
                settler.note(batch)
                deadline.waiting = True
                yield batch
                deadline.waiting = False
                if deadline.has_passed:
                    break
        finally:
            await deadline.close()
            await batches.aclose()
    except ApiError as error:
        await settler.commit_in_time(error)
        raise
    except BaseException:  # the caller left, which must not cancel the settlement
        if not deadline.has_passed:
            runtime.finish(settler.commit(None))
        raise
    if deadline.has_passed:
        raise not_read_in_time()
    yield [await settler.commit_in_time(None)]


class _Settler:
    """Observes the events of one execution and commits its end."""

    def __init__(self, execution: Execution, opened: OpenedRequest, runtime: Runtime) -> None:
        self._execution, self._opened, self._runtime = execution, opened, runtime
        self._output = OutputCheck(opened.incoming.request)
        self._reasoning = runtime.reasoning.listen(opened.row.account_id)
        self._settled_tokens = 0
        self._collector = Collector() if opened.incoming.caller.log_content else None

    def note(self, batch: Sequence[StreamEvent]) -> None:
        for event in batch:
            if self._collector is not None:
                self._collector.add(event)
            self._output.note(event)
            if type(event) is not TextDelta:
                self._reasoning.note(event)

    async def commit_in_time(self, error: ApiError | None) -> Settled:
        """Commit, and wait for it as long as the request may last. Raises ServiceUnavailable after that."""
        committing: asyncio.Task[Settled] = self._runtime.finish(self.commit(error))
        patience_s = max(settings.DATABASE_PATIENCE_S, self._opened.incoming.deadline - time.monotonic())
        if not await done_within(committing, patience_s):
            raise ServiceUnavailable(
                "The answer could not be written to the ledger in time, so it is not given. Try again later.",
                headers={"Retry-After": "30"},
            )
        return committing.result()

    async def end_unread(self, batches: AsyncGenerator[list[StreamEvent]]) -> None:
        """Close the upstream call and commit what was received: the caller does not read on."""
        error, attempt = not_read_in_time(), self._execution.attempts[-1]
        attempt.end("partial", UpstreamFailure(FailureKind.TIMEOUT, error.message))
        attempt.caller_left = True
        await batches.aclose()
        self._runtime.finish(self.commit(error))

    async def commit(self, error: ApiError | None) -> Settled:
        """Commit attempts and settlement, which releases the hold; then remember the answered turn.

        When the settlement cannot be written, which only a value of a provider can cause, it is written again
        without any such value, with usage counted here: a request always ends, and what it delivered is
        charged.
        """
        opened, attempts, runtime = self._opened, self._execution.attempts, self._runtime
        request, row, admission = opened.incoming.request, opened.row, opened.admitted.admission
        try:
            try:
                await count_again(request, attempts)
                fidelity = _fidelity(request, attempts, self._output)
                settlement = await self._write(attempts, error, fidelity)
            except AWAY:  # the process is ending without its database
                raise
            except Exception:
                logger.exception("request %s cannot be settled with its provider's values", row.id)
                fidelity = Fidelity()
                attempts = [attempt.without_report() for attempt in attempts]
                bare_error = error and type(error)("The settlement with the provider's message was refused.")
                settlement = await self._write(attempts, bare_error, fidelity)
        finally:
            await admission.leave(self._settled_tokens, datetime.now(UTC))
        if settlement.status == Request.Status.SUCCEEDED:
            await self._reasoning.keep()
            arm, input_tokens = attempts[-1].arm, settlement.usage.input_tokens
            await runtime.conversations.remember(
                row.account_id, request, arm, input_tokens, settlement.settled_at
            )
        if self._collector is not None:
            content = logged_content(request, self._collector.result())
            runtime.contents.note(row.id, row.account_id, settlement.settled_at, content)
        if settlement.usage.issue in ALERTED:
            runtime.finish(from_database(alert_usage, settlement))
        return _settled(settlement, attempts, fidelity)

    async def _write(
        self, attempts: Sequence[AttemptRecord], error: ApiError | None, fidelity: Fidelity
    ) -> Settlement:
        opened, book = self._opened, self._runtime.catalog.price_book
        latency_ms = round((time.monotonic() - opened.incoming.received_at) * 1000)
        priced = [price(attempt, book, opened.row.created_at) for attempt in attempts]
        settlement = _settlement(opened, attempts, priced, error, latency_ms, book, fidelity)
        rows = _attempt_rows(opened.row.id, attempts, priced)
        await self._runtime.ledger.settle(opened.row, opened.admitted.admission.payer, settlement, rows)
        self._settled_tokens = settlement.usage.total_tokens
        return settlement


def _attempt_rows(
    request_id: str, attempts: Sequence[AttemptRecord], priced: Sequence[PricedAttempt]
) -> list[AttemptRow]:
    pairs = zip(attempts, priced, strict=True)
    return [_attempt_row(request_id, *pair) for pair in pairs]


def _attempt_row(request_id: str, attempt: AttemptRecord, priced: PricedAttempt) -> AttemptRow:
    failure = attempt.failure
    provider_request_id = attempt.response_id or (failure.provider_request_id if failure else "") or ""
    most_input, most_output = most_tokens(attempt)
    return AttemptRow(
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
        unit_prices=priced.prices,
        price_version=priced.version,
        provider_request_id=identifier(provider_request_id),
        usage_issue=priced.usage.issue or "",
        audio_input_tokens=priced.usage.audio_input_tokens,
        service_tier=attempt.service_tier,
        most_input_tokens=most_input,
        most_output_tokens=most_output,
        **usage_fields(priced.usage),
    )


def _fidelity(request: ChatRequest, attempts: Sequence[AttemptRecord], output: OutputCheck) -> Fidelity:
    """The receipt of the answer and the judgement of its output; empty when no arm answered."""
    shown = answering(attempts)
    if shown is None:
        return Fidelity()
    is_other = is_other_model(shown.upstream_model, shown.facts.upstream_id)
    return Fidelity(receipt(request, shown, is_other), output.verdict() if shown.outcome == "ok" else None)


def receipt(request: ChatRequest, shown: AttemptRecord, is_other_model: bool) -> Receipt:
    """The receipt of the caller's own parameters, changed by the provider's adapter or before it.

    `shown`: the attempt that answered. Empty when its upstream call had not begun to answer.
    """
    parameters = shown.receipt
    allowed = shown.allowed_output_tokens or request.max_output_tokens
    if caller_limit(request) is None or request.has_default_limit:  # the limit sent is not the caller's
        parameters = tuple(item for item in parameters if item.parameter != "max_tokens")
    is_cut = shown.most_output_tokens is not None and shown.most_output_tokens < (allowed or 0)
    if caller_limit(request) is not None and is_cut:
        change = f"{shown.most_output_tokens}: what is left to spend"
        parameters = with_change(parameters, "max_tokens", change)
    if shown.lost_tier:
        change = f"no price is known for {shown.lost_tier} with this model"
        parameters = (*parameters, ParameterReceipt("service_tier", Verdict.DROPPED, change))
    elif (sent := priced_tier(request.service_tier)) and sent != shown.service_tier and shown.upstream_model:
        parameters = with_change(parameters, "service_tier", f"served as {shown.service_tier or 'standard'}")
    form = request.response_format
    is_unknown = all(item.parameter != "response_format" for item in parameters)
    if form is not None and shown.upstream_model and is_unknown:
        change = "asked for in words, to go on with a cut answer"
        parameters = with_change(parameters, "response_format", change)
    if is_other_model:
        change = f"the provider names {shown.upstream_model[:160]} as what answered"
        parameters = (ParameterReceipt("model", Verdict.ADAPTED, change), *parameters)
    return parameters


def _settlement(
    opened: OpenedRequest,
    attempts: Sequence[AttemptRecord],
    priced: Sequence[PricedAttempt],
    error: ApiError | None,
    latency_ms: int,
    book: PriceBook,
    fidelity: Fidelity,
) -> Settlement:
    """How the request ended. The caller is charged for every attempt that delivered something.

    The parts of a rescued answer are charged together. What other attempts cost counts as wasted.
    """
    row, charged = opened.row, [attempt for attempt in priced if attempt.charged]
    always: dict[str, Any] = {
        "request_id": row.id,
        "settled_at": datetime.now(UTC),
        "latency_ms": latency_ms,
        "wasted_usd": total_usd([attempt for attempt in priced if not attempt.charged]) or Decimal(0),
        "fallback_used": fallback_used(attempts, opened.decision.chain[0]),
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
    }
    shown = answering(attempts)
    if shown is None:
        status = Request.Status.FAILED if attempts or error else Request.Status.ABORTED
        return Settlement(status=status, **always)
    last, delivered = attempts[-1], [attempt for attempt in attempts if attempt.outcome != "failed"]
    usage = total_usage(attempt.usage for attempt in charged)
    usd = total_usd(charged)
    pairs = [pair for pair in zip(attempts, priced, strict=True) if pair[1].charged]
    baseline = baseline_cost(opened.decision.record.baseline, pairs, book, row.created_at)
    return Settlement(
        status=_status(last, error),
        usage=usage,
        cost_usd=usd,
        held_usd=cost(usage, UNPRICED) if usd is None else Decimal(0),
        baseline_usd=baseline.usd,
        baseline_low_usd=baseline.low_usd,
        baseline_high_usd=baseline.high_usd,
        unit_prices=charged[-1].prices,
        price_version=charged[-1].version,
        served_model=shown.arm.model,
        served_effort=shown.arm.effort or "",
        provider=shown.facts.provider,
        upstream_model=shown.upstream_model[:160],
        service_tier=shown.service_tier,
        other_model_served=is_other_model(shown.upstream_model, shown.facts.upstream_id),
        rescued=len(delivered) > 1 and last.outcome == "ok",
        ttft_ms=delivered[0].ttft_ms,
        finish_reason=shown.finish or "",
        fidelity=fidelity,
        output_valid=fidelity.output.valid if fidelity.output else None,
        **always,
    )


def _status(last: AttemptRecord, error: ApiError | None) -> Request.Status:
    """An answer that came whole but was not read to its end is partial."""
    return _STATUS["partial" if error and last.outcome == "ok" else last.outcome or "aborted"]


def _settled(settlement: Settlement, attempts: Sequence[AttemptRecord], fidelity: Fidelity) -> Settled:
    return Settled(
        model_used=settlement.served_model,
        provider=settlement.provider,
        usage=settlement.usage,
        cost_usd=settlement.cost_usd,
        latency_ms=settlement.latency_ms,
        fallback_used=settlement.fallback_used,
        finish_reason=settlement.finish_reason,
        attempts=tuple(attempt.summary() for attempt in attempts),
        rescued=settlement.rescued,
        fidelity=fidelity,
        service_tier=settlement.service_tier,
    )


@lru_cache(maxsize=4096)
def is_other_model(served: str, requested: str) -> bool:
    """Return whether a provider names another model than the requested one, dated snapshots aside."""
    if not served or served == requested:
        return False
    served, requested = _undated(served), _undated(requested)
    return not served.startswith(requested) and not requested.startswith(served)


def _undated(model: str) -> str:
    return _DATE.sub("", model.rpartition("/")[2].removesuffix("-latest"))


_DATE = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|\d{3,4})$")  # -20250929, -2025-08-07, -001


_STATUS = {
    "ok": Request.Status.SUCCEEDED,
    "partial": Request.Status.PARTIAL,
    "aborted": Request.Status.ABORTED,
    "failed": Request.Status.PARTIAL,  # a rescue failed: the part before it was delivered
}
