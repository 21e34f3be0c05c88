"""Another account's anything is a 404: every path with every object, every verb (spec/reliability.md)."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.security.conftest import Tenant, filled, has_object, paths

VERBS = ("get", "post", "put", "patch", "delete")

# How a path's parameters name something of another account; a new path with a parameter needs a rule here.
RULES: dict[str, Callable[[Tenant], dict[str, Any]]] = {
    "requests/<slug:request_id>.json": lambda one: {"request_id": one.request_id},
    "requests/<slug:request_id>/feedback": lambda one: {"request_id": one.request_id},
    "requests/<slug:request_id>": lambda one: {"request_id": one.request_id},
    "limits/channels/<int:pk>/test/": lambda one: {"pk": one.channel_id},
    "limits/channels/<int:pk>/on/": lambda one: {"pk": one.channel_id},
    "limits/channels/<int:pk>/off/": lambda one: {"pk": one.channel_id},
    "limits/channels/<int:pk>/secret/": lambda one: {"pk": one.channel_id},
    "limits/channels/<int:pk>/remove/": lambda one: {"pk": one.channel_id},
    "statements/<slug:number>/": lambda one: {"number": one.statement},
    "statements/<slug:number>.csv": lambda one: {"number": one.statement},
    "statements/<slug:number>.json": lambda one: {"number": one.statement},
    "members/<int:pk>/role/": lambda one: {"pk": one.member_id},
    "members/<int:pk>/remove/": lambda one: {"pk": one.member_id},
    "members/invitations/<int:pk>/withdraw/": lambda one: {"pk": one.invitation_id},
    "keys/<int:pk>/limits/": lambda one: {"pk": one.key_id},
    "keys/<int:pk>/rotate/": lambda one: {"pk": one.key_id},
    "keys/<int:pk>/revoke/": lambda one: {"pk": one.key_id},
}
STAFF = {  # 404 to whoever is no staff, whatever they name
    "operator/proposals/<int:pk>/accept": lambda one: {"pk": 1},
    "operator/proposals/<int:pk>/reject": lambda one: {"pk": 1},
    "operator/accounts/<int:pk>/": lambda one: {"pk": one.account.pk},
}
API: dict[str, Callable[[Tenant], dict[str, Any]]] = {
    "api/v1/requests/<str:request_id>": lambda one: {"request_id": one.request_id},
    "api/v1/statements/<str:number>": lambda one: {"number": one.statement},
}
NOT_AN_ACCOUNTS = {  # the catalog's models; links of mails, which carry a secret of their own
    "members/join/<slug:secret>/",
    "v1/models/<path:model>",
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$",
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
}


def test_every_path_with_an_object_has_a_rule() -> None:
    known = {*RULES, *STAFF, *API, *NOT_AN_ACCOUNTS}
    missing = {path for path in paths() if has_object(path)} - known
    assert not missing, "add to RULES how such a path names another account's object"


@pytest.mark.parametrize("path", [*RULES, *STAFF])
def test_pages_do_not_know_another_accounts_objects(mine: Tenant, theirs: Tenant, path: str) -> None:
    url = filled(path, **(RULES | STAFF)[path](theirs))
    for verb in VERBS:
        answer = getattr(mine.browser(), verb)(url)
        assert answer.status_code in (404, 405), (verb, url)
        assert b"zebra" not in answer.content


@pytest.mark.parametrize("path", RULES)
def test_the_rules_name_what_their_owner_finds(theirs: Tenant, path: str) -> None:
    """Or a rule that names nothing would pass for a locked door."""
    answer = theirs.browser().get(filled(path, **RULES[path](theirs)))
    assert answer.status_code in (200, 302, 405)


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize("verb", ["get", "post", "delete"])
def test_the_api_does_not_know_another_accounts_objects(
    mine: Tenant, theirs: Tenant, verb: str, path: str
) -> None:
    client = mine.browser()
    url = filled(path, **API[path](theirs))
    answer = getattr(client, verb)(url, headers={"Authorization": f"Bearer {mine.secret}"})
    assert answer.status_code in (404, 405)
    assert "error" in answer.json()


def test_nor_as_the_account_to_look_at(mine: Tenant, theirs: Tenant) -> None:
    client = mine.browser()
    assert client.post("/my-accounts/", {"account": theirs.account.pk}).status_code == 404
    session = client.session
    session["account"] = theirs.account.pk  # even if it got there
    session.save()
    assert b"zebra" not in client.get("/requests/").content


def test_nor_in_bodies_and_filters(mine: Tenant, theirs: Tenant) -> None:
    client, bearer = mine.browser(), {"Authorization": f"Bearer {mine.secret}"}
    body = json.dumps({"request_id": theirs.request_id, "score": 0.5})
    given = client.post("/api/v1/feedback", body, content_type="application/json", headers=bearer)
    assert given.status_code == 404
    for url in (
        f"/api/v1/requests?key={theirs.key_id}",
        f"/requests/?key={theirs.key_id}",
        f"/requests/export.csv?key={theirs.key_id}",
        "/requests/?q=zebra",
    ):
        answer = client.get(url, headers=bearer)
        content = async_to_sync(_whole)(answer.streaming_content) if answer.streaming else answer.content
        assert theirs.request_id.encode() not in content, url


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
