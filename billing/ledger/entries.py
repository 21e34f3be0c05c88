"""Entries of the ledger as plain values: the row of a new request, its end, its attempts.

Model instances of 45 columns took most of the time of a commit, so the write path has structs with the
columns that it writes. Django's models stay the schema, and what everything else reads.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from billing.ledger.holds import Cap, Hold, HoldRequest
from billing.ledger.rate_limits import RateRule
from billing.ledger.windows import Payer
from billing.ledger.writer import Write
from billing.models import Request
from billing.prices.prices import UnitPrices
from billing.usage import Usage
from billing.usage_columns import TOKEN_COLUMNS

ZERO = Decimal(0)


class RequestRow(msgspec.Struct):
    """The columns of `Request` that are written when it is opened. The ledger sets what is held."""

    id: str
    account_id: int
    key_id: int
    created_at: datetime
    lease_until: datetime
    door: str
    mode: str
    strategy: str
    routed_model: str
    trace: Any
    owner: str = ""
    streamed: bool = False
    query_type: str = ""
    difficulty: float | None = None
    forecast_visible_tokens: int | None = None
    forecast_reasoning_tokens: int | None = None
    requested_model: str = ""
    routed_effort: str = ""
    baseline_model: str = ""
    selection_probability: float = 1.0
    metadata: dict[str, Any] | None = None
    prompt_hash: str = ""
    held_usd: Decimal = ZERO
    held_tokens: int = 0


class AttemptRow(msgspec.Struct, frozen=True):
    """The columns of `Attempt`."""

    request_id: str
    number: int
    model: str
    provider: str
    outcome: str
    started_at: datetime
    latency_ms: int
    effort: str = ""
    error_kind: str = ""
    error_message: str = ""
    status_code: int | None = None
    ttft_ms: int | None = None
    cost_usd: Decimal | None = None
    charged: bool = False
    unit_prices: UnitPrices | None = None
    price_version: str = ""
    provider_request_id: str = ""
    usage_issue: str = ""
    uncached_input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    service_tier: str = ""
    most_input_tokens: int | None = None
    most_output_tokens: int | None = None


class OpenTerms(msgspec.Struct, frozen=True):
    """The conditions for opening a request: its payer, its caps, and the hold it asks for.

    `rates`: rules to check against the ledger's own rows, because the counters could not be reached.
    """

    payer: Payer
    caps: tuple[Cap, ...] = ()
    hold_request: HoldRequest = HoldRequest(ZERO, ZERO, 0, 0)
    rates: tuple[RateRule, ...] = ()


class Settlement(msgspec.Struct, frozen=True):
    """How a request ended. USD amounts are exact to 1e-9; `cost_usd` None means unpriced.

    `held_usd`: what an unpriced request continues to hold until it has a price.
    """

    request_id: str
    status: Request.Status
    settled_at: datetime
    latency_ms: int
    usage: Usage = Usage()
    cost_usd: Decimal | None = ZERO
    wasted_usd: Decimal = ZERO
    held_usd: Decimal = ZERO
    baseline_usd: Decimal | None = None
    baseline_low_usd: Decimal | None = None
    baseline_high_usd: Decimal | None = None
    baseline_version: int = Request.BASELINE_FROM_FORECAST
    unit_prices: UnitPrices | None = None
    price_version: str = ""
    served_model: str = ""
    served_effort: str = ""
    provider: str = ""
    upstream_model: str = ""
    service_tier: str = ""
    other_model_served: bool = False
    fallback_used: bool = False
    rescued: bool = False
    ttft_ms: int | None = None
    finish_reason: str = ""
    fidelity: Any = None  # JSON, or a struct that is one
    output_valid: bool | None = None
    error_code: str = ""
    error_message: str = ""


class OpenWrite(Write):
    """One request to open. May be refused while the database is away."""

    must_be_kept = False

    def __init__(self, row: RequestRow, terms: OpenTerms) -> None:
        self.row, self.terms = row, terms
        # Once decided it stays: a retry after a lost commit must write the same.
        self.hold: Hold | None = None


class SettleWrite(Write):
    """One request to settle, with its attempts."""

    def __init__(
        self, row: RequestRow, payer: Payer, settlement: Settlement, attempts: Sequence[AttemptRow]
    ) -> None:
        self.row, self.payer, self.settlement, self.attempts = row, payer, settlement, attempts


class Written:
    """The ids of the rows that a statement opened and settled."""

    def __init__(self, rows: Iterable[tuple[str, bool]] = ()) -> None:
        self.opened: set[str] = set()
        self.settled: set[str] = set()
        for pk, is_settled in rows:
            (self.settled if is_settled else self.opened).add(pk)


def settled_columns(settlement: Settlement) -> dict[str, Any]:
    """The columns of `Request` that a settlement sets."""
    usage, columns = settlement.usage, {name: getattr(settlement, name) for name in _AS_COLUMNS}
    for name in TOKEN_COLUMNS:
        columns[name] = getattr(usage, name)
    columns["usage_estimated"] = usage.estimated
    columns["usage_issue"] = usage.issue or ""
    columns["audio_input_tokens"] = usage.audio_input_tokens
    columns["unpriced"] = settlement.cost_usd is None
    columns["held_tokens"] = 0
    columns["error_message"] = settlement.error_message[:500]
    return columns


_AS_COLUMNS = tuple(name for name in Settlement.__struct_fields__ if name not in ("request_id", "usage"))
SETTLED_COLUMNS = tuple(
    settled_columns(
        Settlement(request_id="", status=Request.Status.FAILED, settled_at=datetime.min, latency_ms=0)
    )
)
