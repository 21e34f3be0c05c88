"""Open: commit the request's ledger row, with its hold, before anything is sent to a provider."""

import asyncio
import hmac
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec
from django.conf import settings

from billing.ledger.holds import Hold
from billing.ledger.ledger import OpenTerms, RequestRow, Settlement
from billing.models import Request
from core.errors import ApiError, ServiceUnavailable
from core.hot_settings import hot
from routing.decide.decision import Decision
from routing.language.chat import ChatRequest, Role
from routing.state.runtime import Runtime
from routing.steps.admission import Admitted, IncomingRequest
from routing.steps.budget import Budget
from routing.steps.reservation import Reservation

# An open row older than its request could live was left by a process that died: the sweeper settles it.
_LEASE_GRACE = timedelta(seconds=60)


class OpenedRequest(msgspec.Struct, frozen=True):
    """A request whose row and hold are committed: what is executed and settled."""

    admitted: Admitted
    decision: Decision
    row: RequestRow
    reservation: Reservation
    hold: Hold

    @property
    def incoming(self) -> IncomingRequest:
        return self.admitted.incoming


async def open_request(
    admitted: Admitted, decision: Decision, budget: Budget, runtime: Runtime
) -> OpenedRequest:
    """Raises Exhausted when the ledger cannot hold enough, RateLimited, and ServiceUnavailable."""
    row, admission = _row(admitted.incoming, decision, runtime.heartbeat.owner), admitted.admission
    reservation = reservation_of(admitted, decision, runtime)
    hold_request = reservation.hold_request(budget)
    terms = OpenTerms(admission.payer, admission.caps, hold_request, admission.uncounted)
    try:
        hold = await runtime.ledger.open(row, terms)
    except (asyncio.CancelledError, ServiceUnavailable) as error:
        # The row may have been written before that, so it is settled in the background.
        reason = error if isinstance(error, ApiError) else None
        runtime.ledger.abandon(row, admission.payer, _never_sent(row, reason))
        raise
    return OpenedRequest(admitted, decision, row, reservation, hold)


def reservation_of(admitted: Admitted, decision: Decision, runtime: Runtime) -> Reservation:
    """How much this decision has to hold, at the prices of the request's arrival."""
    incoming, book = admitted.incoming, runtime.catalog.price_book
    models, caps = admitted.snapshot.models, admitted.admission.caps
    return Reservation(incoming.request, decision, models, book, incoming.at, caps)


def _row(incoming: IncomingRequest, decision: Decision, owner: str) -> RequestRow:
    """The open row. It contains no text of the request."""
    record, first = decision.record, decision.chain[0]
    request, steering, caller = incoming.request, incoming.steering, incoming.caller
    teaches_length = request.n == 1 and not steering.test_mode
    expected = decision.forecast[0] if teaches_length else None
    return RequestRow(
        id=incoming.request_id,
        owner=owner,
        account_id=caller.account_id,
        key_id=caller.key_id,
        created_at=incoming.at,
        lease_until=incoming.at + timedelta(seconds=hot.REQUEST_TIMEOUT_S) + _LEASE_GRACE,
        door=incoming.door,
        mode=steering.mode,
        strategy=record.strategy,
        streamed=steering.stream,
        query_type=record.query_type,
        difficulty=record.difficulty,
        forecast_visible_tokens=expected.starting_visible_tokens if expected else None,
        forecast_reasoning_tokens=expected.starting_reasoning_tokens if expected else None,
        requested_model=steering.model or "",
        routed_model=first.model,
        routed_effort=first.effort or "",
        baseline_model=record.baseline.model if record.baseline else "",
        selection_probability=record.selection_probability,
        metadata=request.metadata,
        prompt_hash=_prompt_hash(caller.account_id, request),
        trace=record,
    )


def _never_sent(row: RequestRow, error: ApiError | None) -> Settlement:
    """The end of a request that was given up before anything was sent to a provider."""
    now = datetime.now(UTC)
    return Settlement(
        request_id=row.id,
        status=Request.Status.FAILED if error else Request.Status.ABORTED,
        settled_at=now,
        latency_ms=round((now - row.created_at).total_seconds() * 1000),
        error_code=error.code if error else "",
        error_message=error.message if error else "",
    )


def _prompt_hash(account_id: int, request: ChatRequest) -> str:
    """A keyed one-way hash of the last user message, per account: it shows repeats and nothing else."""
    text = next((message.text for message in reversed(request.messages) if message.role is Role.USER), "")
    keyed = _keyed(settings.SECRET_KEY, account_id).copy()
    keyed.update(text.encode("utf-8", "surrogatepass"))
    return keyed.hexdigest()


@lru_cache(maxsize=10_000)
def _keyed(secret: str, account_id: int) -> hmac.HMAC:
    """The hash of an account before its first text: reading the key takes longer than the text."""
    return hmac.new(f"{secret}:{account_id}".encode(), digestmod="sha256")
