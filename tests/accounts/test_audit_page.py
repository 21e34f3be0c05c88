"""The audit log: every administrative act of the account's pages, readable by those who may change it."""

from typing import Any

import pytest
from django.test import Client

from accounts.audit import record
from accounts.models import AuditEntry, Member, User


@pytest.fixture
def entries(person: User) -> Any:
    return AuditEntry.objects.filter(account=person.accounts.get()).order_by("pk")


def make_key(browser: Client) -> None:
    fields = {"form_id": "a-first-use", "name": "laptop", "scopes": ["chat"], "daily_usd": "2.5"}
    assert browser.post("/keys/new/", fields).status_code == 200


def test_a_key_is_made_rotated_and_revoked_in_the_log(browser: Client, person: User, entries: Any) -> None:
    make_key(browser)
    key = person.accounts.get().keys.get()
    browser.post(f"/keys/{key.pk}/rotate/", {"form_id": "another-use", "overlap": "24"})
    browser.post(f"/keys/{key.pk}/revoke/", {"name": "laptop"})
    assert [entry.action for entry in entries] == ["key.created", "key.rotated", "key.revoked"]
    assert {entry.actor for entry in entries} == {person}
    created = entries[0]
    assert created.target == str(key)
    assert created.detail == {"scopes": ["chat"], "daily_usd": "2.5"}


def test_no_secret_is_ever_in_the_log(browser: Client, entries: Any) -> None:
    answer = browser.post("/keys/new/", {"form_id": "use", "name": "laptop", "scopes": ["chat"]})
    secret = answer.context["secret"]
    assert secret not in str(list(entries.values()))


def test_changed_settings_say_what_was_and_what_is(browser: Client, person: User, entries: Any) -> None:
    account = person.accounts.get()
    form = {
        "save_account": "",
        "name": account.name,
        "strategy": "cost",
        "time_zone": "UTC",
        "fallback": "on",
        "rescue": "on",
        "replace_retired": "on",
    }
    browser.post("/settings/", form)
    (entry,) = entries
    assert (entry.action, entry.detail) == (
        "settings.changed",
        {"strategy": ["auto", "cost"]},
    )
    browser.post("/settings/", form)
    assert entries.count() == 1, "nothing changed the second time"


def test_the_page_shows_the_accounts_entries_newest_first_and_no_others(
    browser: Client, person: User, stranger: User
) -> None:
    account = person.accounts.get()
    for number in range(3):
        record(account, person, "key.created", f"key {number}", {"may": ["chat", "usage"]})
    record(account, person, "settings.changed", detail={"name": ["<b>", "x"]})
    record(stranger.accounts.get(), stranger, "key.created", "not yours")
    record(None, None, "price.accepted", "the operator's")
    shown = browser.get("/audit/").content.decode()
    assert shown.index("key 2") < shown.index("key 0")
    assert "not yours" not in shown
    assert "the operator&#x27;s" not in shown
    assert "&lt;b&gt; → x" in shown
    assert "chat, usage" in shown


def test_it_narrows_by_action_and_pages(browser: Client, person: User) -> None:
    account = person.accounts.get()
    for number in range(60):
        record(account, person, "key.created" if number % 2 else "key.revoked", f"thing-{number:02}")
    first = browser.get("/audit/")
    assert len(first.context["entries"]) == 50
    second = browser.get("/audit/", {"before": first.context["older"]})
    assert len(second.context["entries"]) == 10
    assert second.context["older"] is None
    only = browser.get("/audit/", {"action": "key.revoked"})
    assert {row["entry"].action for row in only.context["entries"]} == {"key.revoked"}


def test_queries_do_not_grow_with_entries(
    browser: Client, person: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        record(person.accounts.get(), person, "key.created", str(number))
    with django_assert_max_num_queries(6):
        browser.get("/audit/")


def test_viewers_neither_see_the_page_nor_its_link(browser: Client, person: User) -> None:
    assert b'href="/audit/"' in browser.get("/settings/").content
    Member.objects.filter(user=person).update(role=Member.Role.VIEWER)
    assert b'href="/audit/"' not in browser.get("/settings/").content
    assert browser.get("/audit/").status_code == 403
