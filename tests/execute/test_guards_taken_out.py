"""The audit names what each guard of the money prevents: every fault here passes with its guard taken out."""

import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.keys import create_key, rotate
from accounts.models import ApiKey
from billing.checks.audit import audit
from billing.checks.provider_usage import compare
from billing.ledger import sweeper
from billing.models import Request, WebProcess
from routing.execute.attempt import AttemptRecord
from routing.providers.openai import usage as openai_usage
from routing.steps import attempt_prices, attempt_usage
from tests.conftest import Simulator
from tests.door_client import ChatClient
from tests.execute.test_usage_reports import TEXT, ask, row_of, settled_row, usage_with

MODEL = "gpt-4o-mini"
SWEPT_LATE = timedelta(hours=1)  # past every lease


def broken(account_id: int, now: datetime | None = None) -> list[str]:
    checks = audit(now or datetime.now(UTC), account_id=account_id).checks
    return [check.name for check in checks if check.violations]


def answered(caller: ChatClient, simulator: Simulator, usage: Any) -> Request:
    reply = ask(caller, simulator, MODEL, usage)
    assert (reply.error, reply.text) == (None, TEXT)
    return row_of(reply)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def caller(request: pytest.FixtureRequest, http: httpx.Client) -> ChatClient:
    return ChatClient(http, request.param)


def test_an_answer_without_a_usage_report(
    caller: ChatClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broken(answered(caller, simulator, {}).account_id) == []
    monkeypatch.setattr(attempt_usage, "_completed", lambda attempt, known: known)
    row = answered(caller, simulator, {})
    assert row.cost_usd == 0, "the whole answer is free"
    assert broken(row.account_id) == ["content_has_tokens"]


def test_a_report_of_more_tokens_than_were_allowed(
    caller: ChatClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = {"prompt_tokens": 20, "completion_tokens": 9_000_000}
    assert broken(answered(caller, simulator, lie).account_id) == []
    monkeypatch.setattr(attempt_prices, "usage_of", lambda attempt: attempt.usage)
    row = answered(caller, simulator, lie)
    assert row.cost_usd == Decimal("5.400003"), "a limit of 60 tokens costs USD 0.00004 at most"
    assert broken(row.account_id) == ["tokens_within_request"]


def test_a_settlement_that_cannot_be_written(
    caller: ChatClient, simulator: Simulator, refused_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = usage_with(MODEL, 9)
    first = row_of(ask(caller, simulator, MODEL, usage, name=refused_model))
    later = datetime.now(UTC) + SWEPT_LATE
    assert broken(first.account_id, later) == []
    monkeypatch.setattr(AttemptRecord, "without_report", lambda attempt: attempt)
    ask(caller, simulator, MODEL, usage, name=refused_model)
    left = Request.objects.get(account_id=first.account_id, status=Request.Status.OPEN)
    assert broken(left.account_id, later) == ["open_within_lease"]
    Request.objects.filter(pk=left.pk).update(lease_until=datetime.now(UTC) - SWEPT_LATE)
    sweeper.sweep(datetime.now(UTC))


def test_a_request_swept_while_its_process_lives(
    http: httpx.Client, account: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert swept_under_way(http, account, simulator) == (Request.Status.OPEN, [])
    monkeypatch.setattr(sweeper, "_grace_of_living", dict)
    assert swept_under_way(http, account, simulator) == (Request.Status.EXPIRED, ["expired_was_left"])


def swept_under_way(http: httpx.Client, account: Any, simulator: Simulator) -> tuple[str, list[str]]:
    """Status and broken invariants of a request past its lease, swept while its provider is silent."""
    simulator.fault(kind="delay", delay_s=0.7)
    asking = threading.Thread(target=lambda: ChatClient(http, streamed=False).ask(model=MODEL))
    asking.start()
    row = opened_row(account)
    now = datetime.now(UTC)
    Request.objects.filter(pk=row.pk).update(lease_until=now - timedelta(seconds=1))
    sweeper.sweep(now)
    WebProcess.objects.filter(pk=row.owner).update(seen_at=datetime.now(UTC))
    row.refresh_from_db()
    names = broken(account.pk)
    asking.join(timeout=10)
    simulator.reset()
    assert settled_row(row.pk).status == Request.Status.SUCCEEDED, "the late settlement replaces the sweep"
    return row.status, [name for name in names if name != "open_within_lease"]


def opened_row(account: Any) -> Request:
    until = time.monotonic() + 5
    while (row := Request.objects.filter(account=account, status="open").first()) is None:
        assert time.monotonic() < until, "the request was not opened"
        time.sleep(0.02)
    return row


def test_a_rotated_key_with_a_budget_of_its_own(
    server: str, account: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_with_rotated_key() -> list[str]:
        key, _ = create_key(account, "rotor")
        _, secret = rotate(key, timedelta(hours=1))
        with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}) as client:
            assert ChatClient(client, streamed=False).ask(model=MODEL).error is None
        return broken(account.pk)

    assert ask_with_rotated_key() == []
    monkeypatch.setattr(ApiKey, "lineage_id", property(lambda key: key.pk))
    assert "requests_are_in_windows" in ask_with_rotated_key()


def test_reasoning_that_is_reported_beside_the_completion(
    caller: ChatClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider's own usage report has it, and the audit compares the two."""
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 60, "reasoning_tokens": 31}

    def differences() -> dict[str, Any]:
        began = datetime.now(UTC)
        answered(caller, simulator, usage)
        (openai,) = compare({"openai": {MODEL: usage["total_tokens"]}}, began)
        return dict(openai.by_model)

    assert differences() == {}
    monkeypatch.setattr(openai_usage, "_sums", lambda prompt, completion, *_: (prompt, completion, True))
    assert list(differences()) == [MODEL]
