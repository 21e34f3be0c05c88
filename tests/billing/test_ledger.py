"""The ledger's promises: written before, settled once, grouped, swept (spec/ledger.md, Two tables)."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError

from billing.ledger import Ledger, Settlement
from billing.models import Attempt, Request
from billing.sweeper import sweep
from billing.usage import Usage

NewRow = Callable[..., Request]


def settlement_of(row: Request, **fields: object) -> Settlement:
    defaults = {
        "request_id": row.pk,
        "status": Request.Status.SUCCEEDED,
        "settled_at": datetime.now(UTC),
        "latency_ms": 12,
        "usage": Usage(uncached_input_tokens=10, output_tokens=4, reasoning_tokens=1),
        "cost_usd": Decimal("0.000000123"),
    }
    return Settlement(**defaults | fields)  # type: ignore[arg-type]


async def test_an_opened_request_is_committed_when_open_returns(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await ledger.open(row)
    assert Request.objects.get(pk=row.pk).status == Request.Status.OPEN


async def test_a_settlement_writes_usage_cost_and_status(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row(held_usd=Decimal("0.5"))
    await ledger.open(row)
    await ledger.settle(settlement_of(row))
    settled = Request.objects.get(pk=row.pk)
    assert (settled.status, settled.cost_usd) == ("succeeded", Decimal("0.000000123"))
    assert (settled.uncached_input_tokens, settled.output_tokens, settled.reasoning_tokens) == (10, 4, 1)
    assert settled.held_usd == 0, "what was held is given back"


async def test_a_request_is_settled_once(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await ledger.open(row)
    await ledger.settle(settlement_of(row))
    await ledger.settle(settlement_of(row, status=Request.Status.FAILED, cost_usd=Decimal(1)))
    assert Request.objects.get(pk=row.pk).status == Request.Status.SUCCEEDED


async def test_tokens_without_a_price_are_unpriced_not_free(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await ledger.open(row)
    await ledger.settle(settlement_of(row, cost_usd=None))
    settled = Request.objects.get(pk=row.pk)
    assert settled.unpriced
    assert settled.cost_usd is None


async def test_writes_that_arrive_together_share_a_commit_and_all_arrive(
    ledger: Ledger, new_row: NewRow
) -> None:
    rows = [new_row() for _ in range(200)]
    await asyncio.gather(*(ledger.open(row) for row in rows))
    await asyncio.gather(*(ledger.settle(settlement_of(row)) for row in rows))
    settled = Request.objects.filter(pk__in=[row.pk for row in rows], status="succeeded")
    assert settled.count() == 200


async def test_one_bad_row_fails_alone(ledger: Ledger, new_row: NewRow) -> None:
    good, bad = new_row(), new_row(cost_usd=Decimal(-1))
    results = await asyncio.gather(ledger.open(good), ledger.open(bad), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], IntegrityError)
    assert Request.objects.filter(pk=good.pk).exists()


async def test_an_attempt_is_durable_with_its_requests_settlement(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await ledger.open(row)
    ledger.record(
        Attempt(
            request_id=row.pk,
            number=1,
            model="m",
            provider="p",
            outcome="ok",
            started_at=row.created_at,
            latency_ms=5,
        )
    )
    await ledger.settle(settlement_of(row))
    assert Attempt.objects.filter(request_id=row.pk).count() == 1


async def test_a_request_left_open_by_a_dead_process_is_swept_once(ledger: Ledger, new_row: NewRow) -> None:
    now = datetime.now(UTC)
    left, alive = new_row(lease_until=now - timedelta(seconds=1)), new_row()
    await asyncio.gather(ledger.open(left), ledger.open(alive))
    assert sweep(now) == 1
    assert sweep(now) == 0
    assert Request.objects.get(pk=left.pk).status == Request.Status.EXPIRED
    assert Request.objects.get(pk=alive.pk).status == Request.Status.OPEN


@pytest.mark.parametrize("fields", [{"cost_usd": Decimal(-1)}, {"status": "succeeded"}])
def test_the_database_itself_refuses_what_must_never_be(new_row: NewRow, fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        new_row(**fields).save(force_insert=True)
