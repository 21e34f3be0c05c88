"""Fixtures for the ledger: rows ready to be opened, and a writer that is closed after the test."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.ledger.commits import commits
from billing.ledger.ledger import Ledger, RequestRow
from billing.ledger.windows import Payer
from billing.ledger.writer import GroupWriter
from routing.language.ids import new_request_id


@pytest.fixture
async def ledger(live_db: None) -> AsyncIterator[Ledger]:
    writer = GroupWriter(commits(), patience_s=1.0)
    yield Ledger(writer)
    await writer.close()


@pytest.fixture
def new_row(account: Any) -> Callable[..., RequestRow]:
    """Makes rows of one account and key, to be opened."""
    from accounts.keys import create_key

    key, _ = create_key(account, "tests")

    def make(**fields: Any) -> RequestRow:
        now = datetime.now(UTC)
        defaults: dict[str, Any] = {
            "id": new_request_id(),
            "account_id": account.pk,
            "key_id": key.pk,
            "created_at": now,
            "lease_until": now + timedelta(minutes=3),
            "door": "native",
            "mode": "routeplex-ai",
            "strategy": "auto",
            "routed_model": "m",
            "trace": {},
        }
        return RequestRow(**defaults | fields)

    return make


def payer_of(row: RequestRow, time_zone: str = "UTC") -> Payer:
    return Payer(row.account_id, row.key_id, time_zone)
