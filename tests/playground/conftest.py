"""A signed-in person who uses the playground of their account against the live server."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.models import Account, Member, User

PROMPT = "What is the capital of France?"


class Person:
    """A member's browser without scripts."""

    def __init__(self, server: str, user: User) -> None:
        signed_in = Client()
        signed_in.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        cookies = {"sessionid": signed_in.cookies["sessionid"].value}
        self.http = httpx.Client(base_url=server, cookies=cookies, timeout=30)
        self.open("/playground/")

    def open(self, path: str) -> str:
        return self.http.get(path).raise_for_status().text

    def post(self, path: str, fields: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        token = self.http.cookies["csrftoken"]
        form = {"prompt": PROMPT, "max_output_tokens": "200", "target": "strategy:auto"} | (fields or {})
        headers = {"Referer": str(self.http.base_url)} | headers
        return self.http.post(path, data=form | {"csrfmiddlewaretoken": token}, headers=headers)

    def events(self, **fields: Any) -> list[dict[str, Any]]:
        answer = self.post("/playground/", fields, Accept="text/event-stream").raise_for_status()
        assert answer.headers["Content-Type"] == "text/event-stream"
        return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]


@pytest.fixture
def owner(server: str, account: Account) -> Iterator[Person]:
    person = Person(server, account.members.get())
    yield person
    person.http.close()


@pytest.fixture
def viewer(server: str, account: Account) -> Iterator[Person]:
    Member.objects.filter(account=account).update(role=Member.Role.VIEWER)
    person = Person(server, account.members.get())
    yield person
    person.http.close()


def linked_request(html: str) -> str:
    """The id of the request that a fragment links to."""
    match = re.search(r'href="/requests/(req_\w+)"', html)
    assert match, html
    return match[1]
