"""Calls that are answered with a 4xx: recorded beside the ledger, and shown wherever requests are."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account, ApiKey
from billing.models import Request
from billing.refusals import recorder
from billing.refusals.models import RefusedCall
from billing.refusals.recorder import MOST_NOTED, Refusal, RefusalRecorder, store
from billing.refusals.tasks import delete_old_refusals

GOOD = {"messages": [{"role": "user", "content": "Hello"}]}


def refused(account: Account, count: int = 1) -> list[RefusedCall]:
    """The account's refused calls, newest first, once there are `count`."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        rows = list(RefusedCall.objects.filter(account=account).order_by("-pk"))
        if len(rows) >= count:
            return rows
        time.sleep(0.1)
    raise AssertionError("nothing was recorded")


def refusal(key: ApiKey, number: int = 0, **columns: Any) -> Refusal:
    fields: dict[str, Any] = {
        "account_id": key.account_id,
        "key_id": key.pk,
        "request_id": f"req_refused{number:019d}",
        "at": datetime.now(UTC),
        "door": "native",
        "method": "POST",
        "path": "/api/v1/chat",
        "status": 400,
        "code": "validation_error",
        "field": "max_tokens",
        "message": "max_tokens: There is no such field. Did you mean max_output_tokens?",
    }
    return Refusal(**fields | columns)


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field", "door"),
    [
        ("/api/v1/chat", GOOD | {"max_tokens": 5}, 400, "validation_error", "max_tokens", "native"),
        ("/v1/chat/completions", {"model": "nope", **GOOD}, 400, "invalid_model", "model", "openai"),
        ("/v1/messages", {"model": "claude-haiku-4-5", **GOOD}, 400, "validation_error", "max_tokens", ""),
        ("/v1/nowhere", {}, 404, "not_found", "", ""),
        ("/api/v1/route", {"messages": []}, 400, "", "messages", "api"),
    ],
)
def test_a_refused_call_is_recorded_with_what_was_wrong(
    http: httpx.Client,
    account: Account,
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
    field: str,
    door: str,
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == status
    (row,) = refused(account)
    assert (row.status, row.path, row.field) == (status, path, field)
    assert row.request_id == answer.headers["x-request-id"]
    assert row.code == code or not code
    assert row.door == door or not door
    assert row.message


def test_an_expired_key_and_a_body_that_is_too_large_are_recorded(
    server: str, account: Account, http: httpx.Client
) -> None:
    key, secret = create_key(account, "old", expires_at=datetime.now(UTC) - timedelta(days=1))
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx.post(f"{server}/api/v1/chat", json=GOOD, headers=headers).status_code == 401
    (row,) = refused(account)
    assert (row.code, row.key_id) == ("expired_api_key", key.pk)
    http.post("/api/v1/chat", content=b" " * (20 * 1024 * 1024 + 1))
    assert refused(account, 2)[0].status == 413


def test_an_unknown_key_is_not_recorded(server: str, live_db: None) -> None:
    before = RefusedCall.objects.count()
    headers = {"Authorization": "Bearer rp_live_" + "x" * 49}
    assert httpx.post(f"{server}/api/v1/chat", json=GOOD, headers=headers).status_code == 401
    time.sleep(1)
    assert RefusedCall.objects.count() == before


def test_the_api_and_the_pages_show_it(http: httpx.Client, account: Account) -> None:
    http.post("/api/v1/chat", json=GOOD | {"max_tokens": 5})
    (row,) = refused(account)
    listed = http.get("/api/v1/requests/refused").json()
    assert listed["data"][0]["error"]["code"] == "validation_error"
    assert listed["data"][0]["field"] == "max_tokens"
    assert listed["data"][0]["status_code"] == 400
    assert listed["next_cursor"] is None
    assert http.get("/api/v1/requests/refused?code=other").json()["data"] == []
    browser = Client()
    browser.force_login(account.members.get(), backend="allauth.account.auth_backends.AuthenticationBackend")
    for url in ("/requests/", "/requests/?status=refused", "/requests/?q=max_tok"):
        page = browser.get(url).content.decode()
        assert f'id="row-{row.request_id}"' in page
        assert "Refused 400" in page
    assert row.request_id not in browser.get("/requests/?status=failed").content.decode()
    assert "Did you mean max_output_tokens?" in browser.get(f"/requests/{row.request_id}").content.decode()
    start = browser.get("/start/waiting", headers={"hx-request": "true"}).content.decode()
    assert "Your call arrived, but it was refused: 400 validation_error" in start
    assert 'hx-trigger="every 2s"' in start


class TestStore:
    @pytest.fixture
    def key(self, account: Account) -> ApiKey:
        return create_key(account, "tests")[0]

    def test_calls_that_became_requests_are_left_out(self, key: ApiKey) -> None:
        now = datetime.now(UTC)
        Request.objects.create(
            id="req_accepted", account=key.account, key=key, created_at=now, lease_until=now, door="native",
            mode="m", strategy="auto", routed_model="small", trace={},
        )  # fmt: skip
        store([refusal(key, request_id="req_accepted"), refusal(key, 1)])
        assert [row.request_id for row in RefusedCall.objects.filter(key=key)] == [refusal(key, 1).request_id]
        Request.objects.filter(pk="req_accepted").delete()

    def test_an_account_keeps_its_newest_only(self, key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recorder, "MOST_STORED", 3)
        store([refusal(key, number) for number in range(5)])
        rows = RefusedCall.objects.filter(key=key).order_by("pk").values_list("request_id", flat=True)
        assert list(rows) == [refusal(key, number).request_id for number in (2, 3, 4)]

    def test_old_ones_are_deleted(self, key: ApiKey, settings: Any) -> None:
        settings.KEEP_REFUSALS_DAYS = 7
        now = datetime.now(UTC)
        store([refusal(key, 1, at=now - timedelta(days=8)), refusal(key, 2, at=now - timedelta(days=6))])
        delete_old_refusals(now)
        (row,) = RefusedCall.objects.filter(key=key)
        assert row.request_id == refusal(key, 2).request_id


def test_equal_calls_are_counted_and_distinct_ones_bounded(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = create_key(account, "tests")
    written: list[Refusal] = []
    monkeypatch.setattr(recorder, "store", written.extend)

    async def noted() -> None:
        calls = RefusalRecorder()
        for number in range(500):
            calls.note(refusal(key, number))
        for number in range(500):
            calls.note(refusal(key, number, field=f"field{number}"))
        await calls.stop()

    asyncio.run(noted())
    assert written[0].count == 500
    assert len(written) == MOST_NOTED
