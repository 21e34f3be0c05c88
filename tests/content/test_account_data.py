"""All of an account's data as a file, and the end of an account."""

import io
import json
import zipfile
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account, ApiKey, AuditEntry, Member, User
from billing.models import Request
from tests.content.test_content import ask, browser, opt_in, stored


def export(account: Account) -> dict[str, str]:
    answer = browser(account).get("/settings/export.zip")
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))  # type: ignore[arg-type]
    return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_export_has_everything_and_no_secret(http: httpx.Client, account: Account) -> None:
    opt_in(account)
    row = ask(http, metadata={"team": "blue"})
    stored(row)
    files = export(account)
    document = json.loads(files["account.json"])
    assert document["members"][0]["email"] == account.members.get().email
    assert document["keys"][0]["last_four"]
    assert "digest" not in files["account.json"]
    assert row.pk in files["requests.ndjson"]
    assert "Kraków" in files["content.ndjson"]
    assert len(files["attempts.ndjson"].splitlines()) == 1


def test_a_deleted_account_keeps_its_sums_and_nothing_personal(
    http: httpx.Client, account: Account, api_key: str
) -> None:
    opt_in(account)
    row = ask(http, metadata={"team": "blue"})
    stored(row)
    person = account.members.get()
    client = browser(account)
    assert client.post("/settings/delete/", {"name": "another"}).status_code == 422
    assert client.post("/settings/delete/", {"name": account.name}).url == "/"
    assert http.post("/api/v1/chat", json={"messages": []}).status_code == 401
    deleted = Account.objects.get(pk=account.pk)
    assert (deleted.name, deleted.log_content) == (f"deleted account {account.pk}", False)
    assert deleted.deleted_at is not None
    assert not User.objects.filter(pk=person.pk).exists()
    assert not Member.objects.filter(account=account).exists()
    assert not AuditEntry.objects.filter(account=account).exists()
    assert set(ApiKey.objects.filter(account=account).values_list("name", flat=True)) == {"deleted"}
    left = Request.objects.get(pk=row.pk)
    assert left.metadata is None
    assert left.cost_usd == row.cost_usd
    assert not hasattr(left, "content")
    assert client.get("/settings/").status_code == 302


def test_a_person_with_another_account_stays(account: Account) -> None:
    person = account.members.get()
    other = Account.objects.create(name="Other", plan=account.plan)
    Member.objects.create(account=other, user=person)
    browser(account).post("/settings/delete/", {"name": account.name})
    assert User.objects.filter(pk=person.pk).exists()
    assert not other.deleted_at


@pytest.mark.parametrize("role", [Member.Role.ADMIN, Member.Role.VIEWER])
def test_only_an_owner_deletes_an_account(account: Account, role: str) -> None:
    create_key(account, "laptop")
    Member.objects.filter(account=account).update(role=role)
    assert browser(account).post("/settings/delete/", {"name": account.name}).status_code == 403


def test_sessions_are_listed_and_ended(account: Account, settings: Any) -> None:
    person = account.members.get()
    person.set_password("correct-horse-9")
    person.save()
    first, second = Client(headers={"user-agent": "Firefox"}), Client(headers={"user-agent": "Safari"})
    for client in (first, second):
        client.post("/accounts/login/", {"login": person.email, "password": "correct-horse-9"})
        assert client.get("/settings/").status_code == 200
    page = first.get("/accounts/sessions/").content.decode()
    assert "Firefox" in page
    assert "Safari" in page
    assert "this browser" in page
    theirs = page.split("/settings/sessions/")[1].split("/")[0]
    assert first.post(f"/settings/sessions/{theirs}/end/").status_code == 302
    assert second.get("/settings/").status_code == 302
    assert first.get("/settings/").status_code == 200
