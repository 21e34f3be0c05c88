"""Roles: strangers see only the sign-in page, viewers change nothing, forms need their CSRF token."""

import hashlib
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from accounts.models import Member
from tests.security.conftest import filled, make_tenant, paths

OPEN_TO_ALL = ("favicon.ico", "healthz", "readyz", "static/", "api/", "v1/", "accounts/", "docs")
PUBLIC = ("", "models/", "pricing", "changelog")  # strangers may read them
# Signing in, ending a session, the person's own profile, and how they look at the request list
OWN_CHANGES = {
    "sessions.session", "accounts.user", "usersessions.usersession",
    "request_views.savedview", "request_views.chosencolumns",
}  # fmt: skip
CSRF_EXEMPT = ("api/", "v1/")  # authenticated by a key, not a cookie


def is_page(path: str) -> bool:
    return not path.startswith(OPEN_TO_ALL) and not path.startswith("^")


def rows() -> dict[str, str]:
    """Return a digest of every table."""
    return {
        model._meta.label_lower: hashlib.sha256(
            repr(sorted(map(repr, model._default_manager.values_list()))).encode()
        ).hexdigest()
        for model in apps.get_models()
    }


@pytest.mark.django_db
def test_strangers_are_sent_to_the_sign_in_page() -> None:
    for path in filter(is_page, paths()):
        for verb in ("get", "post"):
            answer = getattr(Client(), verb)(filled(path))
            shown = answer.status_code in (302, 404, 405) or path in PUBLIC
            assert shown, (verb, path, answer.status_code)


@pytest.mark.django_db
def test_a_viewer_changes_nothing() -> None:
    viewer = make_tenant(role=Member.Role.VIEWER)
    objects: dict[str, Any] = {"pk": viewer.key_id, "request_id": viewer.request_id}
    before = rows()
    for path in filter(is_page, paths()):
        if "<" in path and "channels" in path:
            objects["pk"] = viewer.channel_id
        if "members" in path:
            objects["pk"] = viewer.invitation_id if "invitations" in path else viewer.member_id
        fields = {
            "name": "laptop",
            "save_account": "",
            "email": "a@b.example",
            "role": "owner",
            "thumb": "up",
        }
        answer = viewer.browser().post(filled(path, **objects), fields)
        assert answer.status_code != 500, path
        objects["pk"] = viewer.key_id
    after = rows()
    changed = {table for table in before if before[table] != after[table]} - OWN_CHANGES
    assert changed == set()


@pytest.mark.django_db
def test_no_page_acts_without_a_csrf_token() -> None:
    owner = make_tenant()
    owner.user.is_staff = True
    owner.user.save()
    client = owner.browser(enforce_csrf_checks=True)
    for path in paths():
        if path.startswith(CSRF_EXEMPT) or path.startswith(("static/", "^", "healthz", "readyz")):
            continue
        answer = client.post(filled(path, pk=owner.key_id, request_id=owner.request_id))
        assert answer.status_code in (403, 404, 405), (path, answer.status_code)
