"""Prompts and answers of accounts that opted in: encrypted, shown to members, erased in time."""

import time
from datetime import UTC, datetime, timedelta

import httpx
from django.test import Client

from accounts.caller_lookup import forget_all_callers
from accounts.models import Account
from billing.content.details import erase_old_details
from billing.content.models import StoredContent
from billing.content.store import MOST_TEXT, Content, Turn, bounded, content_of, delete_old_content
from billing.models import Request

QUESTION = "Which river flows through Kraków?"


def opt_in(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(log_content=True)
    forget_all_callers()


def ask(http: httpx.Client, **more: object) -> Request:
    body = {"messages": [{"role": "user", "content": QUESTION}], **more}
    answer = http.post("/api/v1/chat", json=body)
    assert answer.status_code == 200
    answer.read()
    return Request.objects.latest("created_at")


def stored(row: Request) -> Content:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if content := content_of(row):
            return content
        time.sleep(0.1)
    raise AssertionError("nothing was stored")


def browser(account: Account) -> Client:
    client = Client()
    client.force_login(account.members.get(), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_nothing_is_stored_unless_the_account_opted_in(http: httpx.Client, account: Account) -> None:
    ask(http)
    time.sleep(1.5)
    assert not StoredContent.objects.filter(account=account).exists()


def test_an_opted_in_account_sees_its_prompts_and_answers(http: httpx.Client, account: Account) -> None:
    opt_in(account)
    for streams in (False, True):
        row = ask(http, stream=streams)
        content = stored(row)
        assert content.prompt == (Turn("user", QUESTION),)
        assert content.answer
        encrypted = bytes(StoredContent.objects.get(pk=row.pk).body)
        assert b"Krak" not in encrypted
        page = browser(account).get(f"/requests/{row.pk}").content.decode()
        assert "Which river flows through Kraków?" in page
        assert "Prompt and answer" in page


def test_content_goes_when_its_time_is_over_or_at_once(http: httpx.Client, account: Account) -> None:
    opt_in(account)
    row = ask(http)
    stored(row)
    Account.objects.filter(pk=account.pk).update(keep_content_days=7)
    delete_old_content(datetime.now(UTC) + timedelta(days=6))
    assert content_of(row) is not None
    delete_old_content(datetime.now(UTC) + timedelta(days=8))
    assert content_of(row) is None
    row = ask(http)
    stored(row)
    answer = browser(account).post("/settings/content/erase/", {"name": account.name})
    assert answer.status_code == 302
    assert content_of(row) is None


def test_details_of_old_requests_go_and_their_sums_stay(http: httpx.Client, account: Account) -> None:
    row = ask(http, metadata={"team": "blue"})
    Account.objects.filter(pk=account.pk).update(keep_details_days=30)
    now = datetime.now(UTC)
    erase_old_details(now + timedelta(days=29))
    row.refresh_from_db()
    assert row.metadata == {"team": "blue"}
    assert erase_old_details(now + timedelta(days=31)) >= 1
    erased = Request.objects.get(pk=row.pk)
    assert (erased.metadata, erased.prompt_hash, erased.fidelity) == (None, "", None)
    assert (erased.cost_usd, erased.output_tokens) == (row.cost_usd, row.output_tokens)
    assert browser(account).get(f"/requests/{row.pk}").status_code == 200
    assert erase_old_details(now + timedelta(days=31)) == 0


def test_long_content_is_cut_at_its_oldest_messages() -> None:
    long = Content((Turn("user", "a" * 150_000), Turn("user", "b" * 150_000)), "c" * 300_000)
    cut = bounded(long)
    assert cut.is_cut
    assert [len(turn.text) for turn in cut.prompt] == [50_000, 150_000]
    assert len(cut.answer) == MOST_TEXT
    assert not bounded(Content((Turn("user", "a"),), "b")).is_cut
