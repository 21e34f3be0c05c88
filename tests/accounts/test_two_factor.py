"""A second factor: turned on with a code, asked for at sign-in, sealed, escaped by recovery codes."""

import re
import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from tests.accounts.test_signing_in import PASSWORD, sign_up

pytestmark = pytest.mark.django_db
EMAIL = "grace.hopper@example.com"


def code_now(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


@pytest.fixture
def secret(client: Client) -> str:
    """A person who is signed in and has turned it on; their app's secret."""
    sign_up(client)
    EmailAddress.objects.filter(email=EMAIL).update(verified=True)  # or someone could lock out its owner
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    match = re.search(r"<code>([A-Z2-7]{16,})</code>", page)
    assert match is not None
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code_now(match.group(1))})
    assert answer.status_code == 302
    return match.group(1)


def sign_in(client: Client) -> Any:
    client.logout()
    return client.post("/accounts/login/", {"login": EMAIL, "password": PASSWORD})


def test_the_password_alone_no_longer_opens_the_account(client: Client, secret: str) -> None:
    assert sign_in(client).url.startswith("/accounts/2fa/authenticate/")
    assert client.get("/keys/").status_code == 302
    wrong = client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert client.get("/keys/").status_code == 302


def test_a_code_opens_it_but_not_a_second_time(client: Client, secret: str) -> None:
    cache.clear()  # turning it on has used this half minute's code
    sign_in(client)
    code = code_now(secret)
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert client.get("/keys/").status_code == 200
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert client.get("/keys/").status_code == 302, "a code read over the shoulder is worth nothing"


def test_a_recovery_code_opens_it_once(client: Client, secret: str) -> None:
    page = client.get("/accounts/2fa/recovery-codes/").content.decode()
    codes = re.findall(r"<li><code>(\w+)</code>", page)
    assert len(codes) == 10
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert client.get("/keys/").status_code == 200
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert client.get("/keys/").status_code == 302


def test_the_secret_is_sealed_in_the_database(client: Client, secret: str) -> None:
    stored = Authenticator.objects.get(user=User.objects.get(email=EMAIL), type="totp")
    assert secret not in str(stored.data)


def test_turning_it_on_or_off_asks_who_it_is(client: Client, secret: str) -> None:
    cache.clear()
    sign_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code_now(secret)})
    assert client.post("/accounts/2fa/totp/deactivate/").url.startswith("/accounts/reauthenticate/")
    assert Authenticator.objects.filter(type="totp").exists()
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(type="totp").exists()
    assert sign_in(client).url == "/"


def test_an_unconfirmed_address_comes_first(client: Client) -> None:
    sign_up(client)
    page = client.get("/accounts/2fa/").content.decode()
    assert f"Confirm your address <strong>{EMAIL}</strong> first" in page
    assert "/accounts/2fa/totp/activate/" not in page
    sent = client.post("/accounts/email/", {"email": EMAIL, "action_send": ""})
    assert sent.status_code == 302
