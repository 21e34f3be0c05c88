"""Every object of another account is a 404, at every path and with every verb (docs/api.md)."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.security.conftest import Tenant, filled, has_object, paths

VERBS = ("get", "post", "put", "patch", "delete")

# How to fill a path's parameters with another account's object. A new path with a parameter needs a rule.
RULES: dict[str, Callable[[Tenant], dict[str, Any]]] = {
    "requests/<slug:request_id>.json": lambda tenant: {"request_id": tenant.request_id},
    "requests/<slug:request_id>/feedback": lambda tenant: {"request_id": tenant.request_id},
    "requests/<slug:request_id>": lambda tenant: {"request_id": tenant.request_id},
    "requests/views/<int:pk>/rename/": lambda tenant: {"pk": tenant.view_id},
    "requests/views/<int:pk>/remove/": lambda tenant: {"pk": tenant.view_id},
    "limits/channels/<int:pk>/test/": lambda tenant: {"pk": tenant.channel_id},
    "limits/channels/<int:pk>/on/": lambda tenant: {"pk": tenant.channel_id},
    "limits/channels/<int:pk>/off/": lambda tenant: {"pk": tenant.channel_id},
    "limits/channels/<int:pk>/secret/": lambda tenant: {"pk": tenant.channel_id},
    "limits/channels/<int:pk>/remove/": lambda tenant: {"pk": tenant.channel_id},
    "statements/<slug:number>/": lambda tenant: {"number": tenant.statement},
    "statements/<slug:number>.pdf": lambda tenant: {"number": tenant.statement},
    "statements/<slug:number>.csv": lambda tenant: {"number": tenant.statement},
    "statements/<slug:number>.json": lambda tenant: {"number": tenant.statement},
    "members/<int:pk>/role/": lambda tenant: {"pk": tenant.member_id},
    "members/<int:pk>/remove/": lambda tenant: {"pk": tenant.member_id},
    "members/invitations/<int:pk>/withdraw/": lambda tenant: {"pk": tenant.invitation_id},
    "keys/<int:pk>/limits/": lambda tenant: {"pk": tenant.key_id},
    "keys/<int:pk>/rotate/": lambda tenant: {"pk": tenant.key_id},
    "keys/<int:pk>/revoke/": lambda tenant: {"pk": tenant.key_id},
    "keys/<int:pk>/resume/": lambda tenant: {"pk": tenant.key_id},
    "settings/sessions/<int:pk>/end/": lambda tenant: {"pk": tenant.session_id},
}
STAFF = {  # 404 for everyone but staff, whatever the object
    "operator/proposals/<int:pk>/accept": lambda tenant: {"pk": 1},
    "operator/proposals/<int:pk>/reject": lambda tenant: {"pk": 1},
    "operator/support/<int:pk>/close": lambda tenant: {"pk": 1},
    "operator/accounts/<int:pk>/": lambda tenant: {"pk": tenant.account.pk},
}
API: dict[str, Callable[[Tenant], dict[str, Any]]] = {
    "api/v1/requests/<str:request_id>": lambda tenant: {"request_id": tenant.request_id},
    "api/v1/statements/<str:number>": lambda tenant: {"number": tenant.statement},
}
OF_NO_ACCOUNT = {  # documentation; the catalog's models; links in e-mails, which contain a secret
    "docs/<path:slug>",
    "docs/api/<slug:slug>",
    "docs/<path:slug>/",
    "models/<str:model_id>",
    "members/join/<slug:secret>/",
    "v1/models/<path:model>",
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$",
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
}


def test_every_path_with_an_object_has_a_rule() -> None:
    known = {*RULES, *STAFF, *API, *OF_NO_ACCOUNT}
    missing = {path for path in paths() if has_object(path)} - known
    assert not missing, "add a rule to RULES that fills this path with another account's object"


@pytest.mark.parametrize("path", [*RULES, *STAFF])
def test_pages_hide_another_accounts_objects(mine: Tenant, theirs: Tenant, path: str) -> None:
    url = filled(path, **(RULES | STAFF)[path](theirs))
    for verb in VERBS:
        answer = getattr(mine.browser(), verb)(url)
        assert answer.status_code in (404, 405), (verb, url)
        assert b"zebra" not in answer.content


@pytest.mark.parametrize("path", RULES)
def test_owners_find_the_objects_of_the_rules(theirs: Tenant, path: str) -> None:
    """Otherwise a rule that names nothing would look like a protected path."""
    answer = theirs.browser().get(filled(path, **RULES[path](theirs)))
    assert answer.status_code in (200, 302, 405)


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize("verb", ["get", "post", "delete"])
def test_the_api_hides_another_accounts_objects(mine: Tenant, theirs: Tenant, verb: str, path: str) -> None:
    client = mine.browser()
    url = filled(path, **API[path](theirs))
    answer = getattr(client, verb)(url, headers={"Authorization": f"Bearer {mine.secret}"})
    assert answer.status_code in (404, 405)
    assert "error" in answer.json()


def test_a_session_cannot_switch_to_another_account(mine: Tenant, theirs: Tenant) -> None:
    client = mine.browser()
    assert client.post("/my-accounts/", {"account": theirs.account.pk}).status_code == 404
    session = client.session
    session["account"] = theirs.account.pk  # even if it were set
    session.save()
    assert b"zebra" not in client.get("/requests/").content


def test_bodies_and_filters_do_not_reach_another_account(mine: Tenant, theirs: Tenant) -> None:
    client, bearer = mine.browser(), {"Authorization": f"Bearer {mine.secret}"}
    body = json.dumps({"request_id": theirs.request_id, "score": 0.5})
    refused = client.post("/api/v1/feedback", body, content_type="application/json", headers=bearer)
    assert refused.status_code == 404
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
