"""First run: a key by one click, shown once, in code that has it; the page that notices the first request."""

import html
import re

import pytest
from django.test import Client

from accounts.key_format import well_formed
from accounts.models import Account, ApiKey, Member, User
from tests.pages.conftest import MakeRequest

HTMX = {"HTTP_HX_REQUEST": "true"}


def secret_in(content: bytes) -> str:
    return next(iter(re.findall(r"rp_live_[0-9A-Za-z]{30,}", content.decode())), "")


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_one_click_makes_a_key_and_fills_it_in(
    headers: dict[str, str], page: Client, account: Account
) -> None:
    response = page.post("/start", **headers)
    secret = secret_in(response.content)
    assert well_formed(secret)
    assert response.content.decode().count(secret) == 5  # shown, and in each of the four snippets
    assert ApiKey.objects.get(account=account).last_four == secret[-4:]
    assert "no-store" in response["Cache-Control"]


def test_the_secret_is_shown_once(page: Client) -> None:
    secret = secret_in(page.post("/start").content)
    again = page.get("/start")
    assert secret not in again.content.decode()
    assert secret[-4:] in again.content.decode()
    assert secret not in str(dict(page.session))


def test_the_snippets_name_this_host(page: Client) -> None:
    shown = html.unescape(page.get("/start", headers={"host": "localhost:8123"}).content.decode())
    assert "curl http://localhost:8123/api/v1/chat" in shown
    assert 'base_url="http://localhost:8123/v1"' in shown


def test_looking_makes_no_key(page: Client, account: Account) -> None:
    page.get("/start")
    assert not ApiKey.objects.filter(account=account).exists()


def test_viewers_cannot_make_keys(page: Client, account: Account) -> None:
    Member.objects.filter(account=account).update(role=Member.Role.VIEWER)
    assert page.post("/start").status_code == 403
    assert "Ask an owner" in page.get("/start").content.decode()
    assert not ApiKey.objects.filter(account=account).exists()


def test_a_key_is_made_by_the_page_only(mine: tuple[Account, User]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(mine[1], backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post("/start").status_code == 403


def test_waiting_turns_into_a_link_to_the_first_request(page: Client, make_request: MakeRequest) -> None:
    waiting = page.get("/start/waiting", **HTMX).content.decode()
    assert "Waiting for your first request" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    row = make_request(1)
    arrived = page.get("/start/waiting", **HTMX).content.decode()
    assert f'href="/requests/{row.id}"' in arrived
    assert "hx-trigger" not in arrived


def test_anothers_request_is_not_awaited(page: Client, stranger: Account, make_request: MakeRequest) -> None:
    make_request(1, account=stranger)
    assert "Waiting for your first request" in page.get("/start/waiting", **HTMX).content.decode()


def test_a_visitor_signs_in_first(client: Client, db: None) -> None:
    for path in ("/start", "/start/waiting"):
        assert client.get(path).status_code == 302


@pytest.mark.parametrize(("part", "whole"), [("/start/waiting", "/start"), ("/requests/tail", "/requests/")])
def test_a_part_of_a_page_leads_to_the_page(page: Client, part: str, whole: str) -> None:
    assert page.get(part).url == whole
