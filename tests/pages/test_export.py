"""Export: the current filter, streamed, exact, and harmless in a spreadsheet."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.keys import create_key
from accounts.models import Account
from billing.reports import export
from billing.reports.export import neutral
from tests.pages.conftest import MakeRequest

URL = "/requests/export.csv"


def exported(page: Client, query: dict[str, Any] | None = None) -> list[dict[str, str]]:
    response = page.get(URL, query or {})
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(async_to_sync(_read)(response))))


async def _read(response: Any) -> str:
    return b"".join([part async for part in response]).decode()


def test_it_exports_what_the_filter_shows_newest_first(page: Client, make_request: MakeRequest) -> None:
    make_request(1, status="failed")
    rows = [make_request(number) for number in range(2, 5)]
    assert [row["id"] for row in exported(page, {"status": "succeeded"})] == [row.id for row in rows[::-1]]


def test_batches_join_without_gap_or_overlap(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 3)
    written = [make_request(number).id for number in range(8)]
    assert [row["id"] for row in exported(page)] == written[::-1]


def test_money_is_exact_and_a_model_name_is_no_formula(
    page: Client, account: Account, make_request: MakeRequest
) -> None:
    key = create_key(account, '=HYPERLINK("http://evil")')[0]
    make_request(1, key=key, cost_usd=Decimal("0.000000001"), served_model="@SUM(A1)", metadata={"a": "ü"})
    (row,) = exported(page)
    assert row["cost_usd"] == "0.000000001"
    assert row["served_model"] == "'@SUM(A1)"
    assert row["key"].startswith("'=")
    assert row["metadata"] == '{"a":"ü"}'


def test_lines_of_json_have_the_same_rows_and_exact_numbers(page: Client, make_request: MakeRequest) -> None:
    written = [make_request(number, cost_usd=Decimal("0.000000001")).id for number in range(2)]
    response = page.get("/requests/export.ndjson", {"strategy": "auto"})
    assert response["Content-Type"] == "application/x-ndjson"
    lines = async_to_sync(_read)(response).splitlines()
    rows = [json.loads(line, parse_float=Decimal) for line in lines]
    assert [row["id"] for row in rows] == written[::-1]
    assert [row["cost_usd"] for row in rows] == [Decimal("0.000000001")] * 2
    assert set(rows[0]) == set(exported(page)[0])


def test_the_stream_is_asynchronous(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    assert page.get(URL).is_async


def test_another_accounts_rows_are_not_exported(
    page: Client, stranger: Account, make_request: MakeRequest
) -> None:
    make_request(1, account=stranger)
    assert exported(page) == []


@given(st.text(max_size=20))
def test_no_cell_begins_as_a_formula(text: str) -> None:
    cell = neutral(text)
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell in (text, f"'{text}")
