"""Signing up, in and out, and getting back in."""

import re
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Member, User

PASSWORD = "correct-horse-9"

pytestmark = pytest.mark.django_db


def sign_up(client: Client, email: str = "grace.hopper@example.com", **fields: str) -> Any:
    return client.post("/accounts/signup/", {"email": email, "password1": PASSWORD, **fields})


def link_in(message: Any) -> str:
    match = re.search(r"https?://[^/\s]+(/\S+)", message.body)
    assert match is not None
    return match.group(1)


def test_signing_up_opens_an_account_and_leads_to_the_first_run_page(client: Client, settings: Any) -> None:
    settings.SIGNUP_PLAN = "evaluation"
    response = sign_up(client)
    assert response.status_code == 302
    assert response.url == reverse("start")
    member = Member.objects.get(user__email="grace.hopper@example.com")
    assert member.role == Member.Role.OWNER
    assert member.account.name == "grace.hopper"
    assert member.account.plan_id == "evaluation"
    assert client.get("/keys/").status_code == 200


def test_where_addresses_must_be_confirmed_one_does_so_before_signing_in(
    client: Client, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    page = client.post(
        "/accounts/signup/", {"email": "grace.hopper@example.com", "password1": PASSWORD}, follow=True
    )
    assert "Look into your mail" in page.content.decode()
    assert client.get("/keys/").status_code == 302
    client.post(link_in(mail.outbox[-1]))
    credentials = {"login": "grace.hopper@example.com", "password": PASSWORD}
    client.post("/accounts/login/", credentials)
    assert client.get("/keys/").status_code == 200


def test_signing_up_takes_the_browsers_time_zone(client: Client) -> None:
    sign_up(client, time_zone="Asia/Tokyo")
    assert User.objects.get(email="grace.hopper@example.com").time_zone == "Asia/Tokyo"


def test_an_unknown_time_zone_is_utc(client: Client) -> None:
    sign_up(client, time_zone="../etc/passwd")
    assert User.objects.get(email="grace.hopper@example.com").time_zone == "UTC"


@pytest.mark.parametrize(
    ("email", "password", "message"),
    [
        ("grace", PASSWORD, "Enter a valid email address"),
        ("grace@example.com", "123", "too short"),
        ("grace@example.com", "password123", "too common"),
        ("", PASSWORD, "This field is required"),
    ],
)
def test_an_invalid_sign_up_says_why_and_opens_nothing(
    client: Client, email: str, password: str, message: str
) -> None:
    accounts = Account.objects.count()
    response = client.post("/accounts/signup/", {"email": email, "password1": password})
    assert message in response.content.decode()
    assert Account.objects.count() == accounts


def test_an_address_signs_up_once(client: Client, person: User) -> None:
    sign_up(client, email="ADA@example.com")
    assert User.objects.filter(email__iexact=person.email).count() == 1
    assert person.accounts.count() == 1


def test_signing_in_and_out(client: Client, person: User) -> None:
    response = client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert response.status_code == 302
    assert client.get("/keys/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/keys/").url.startswith("/accounts/login/")


def test_signing_in_begins_a_new_session(client: Client, person: User) -> None:
    client.get("/accounts/login/")
    client.session["x"] = 1
    client.session.save()
    before = client.session.session_key
    client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert client.session.session_key != before


def test_a_wrong_password_is_refused_in_words_that_tell_nothing(client: Client, person: User) -> None:
    wrong = client.post("/accounts/login/", {"login": "ada@example.com", "password": "wrong"})
    unknown = client.post("/accounts/login/", {"login": "unknown@example.com", "password": "wrong"})
    words = "The email address and/or password you specified are not correct."
    assert words in wrong.content.decode()
    assert words in unknown.content.decode()


def test_guessing_is_throttled(client: Client, person: User) -> None:
    for _ in range(12):
        response = client.post("/accounts/login/", {"login": "ada@example.com", "password": "wrong"})
    right = client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert right.status_code != 302
    assert "Too many" in response.content.decode()


def test_guesses_of_strangers_lock_no_one_out(client: Client, person: User) -> None:
    for address in range(3):
        for _ in range(4):
            guess = {"login": "ada@example.com", "password": "wrong"}
            client.post("/accounts/login/", guess, REMOTE_ADDR=f"10.0.0.{address}")
    right = {"login": "ada@example.com", "password": PASSWORD}
    assert client.post("/accounts/login/", right, REMOTE_ADDR="10.9.9.9").status_code == 302


def test_guesses_from_everywhere_are_bounded_and_the_mailed_link_leads_in(
    client: Client, person: User, settings: Any
) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"login_failed_anywhere": "6/h/key"}
    for address in range(7):
        guess = {"login": "ada@example.com", "password": "wrong"}
        client.post("/accounts/login/", guess, REMOTE_ADDR=f"2001:db8:{address}::1")
    right = {"login": "ada@example.com", "password": PASSWORD}
    refused = client.post("/accounts/login/", right, REMOTE_ADDR="10.9.9.9")
    assert "the link that we e-mail signs you in" in refused.content.decode()
    client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    form = client.get(link_in(mail.outbox[-1]), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": "another-horse-7", "password2": "another-horse-7"})
    assert client.get("/keys/").status_code == 200


def test_guesses_from_one_network_of_ipv6_count_together(client: Client, person: User) -> None:
    for host in range(6):  # fewer than are refused for whichever account
        guess = {"login": "ada@example.com", "password": "wrong"}
        client.post("/accounts/login/", guess, REMOTE_ADDR=f"2001:db8::{host}")
    right = {"login": "ada@example.com", "password": PASSWORD}
    assert client.post("/accounts/login/", right, REMOTE_ADDR="2001:db8::ffff").status_code != 302


def test_a_password_of_digits_is_refused(client: Client) -> None:
    accounts = Account.objects.count()
    answer = sign_up(client, password1="83920174652")
    assert "entirely numeric" in answer.content.decode()
    assert Account.objects.count() == accounts


def test_signing_up_again_shows_the_same_as_the_first_time(
    client: Client, person: User, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    known = sign_up(Client(), email="ada@example.com")
    new = sign_up(Client(), email="new@example.com")
    assert (known.status_code, known.url) == (new.status_code, new.url)
    assert [message.to for message in mail.outbox] == [["ada@example.com"], ["new@example.com"]]


class CountingHasher(MD5PasswordHasher):
    """Counts the passwords it hashes."""

    count = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.count += 1
        return super().encode(password, salt)


def test_the_time_of_signing_up_tells_nothing(person: User, settings: Any) -> None:
    """Hashing a password takes most of it, so both hash as many."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.PASSWORD_HASHERS = ["tests.accounts.test_signing_in.CountingHasher"]
    counts = []
    for email in ("ada@example.com", "new@example.com"):
        before = CountingHasher.count
        sign_up(Client(), email=email)
        counts.append(CountingHasher.count - before)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("path", ["/", "/keys/", "/members/", "/accounts/email/"])
def test_pages_of_a_person_are_in_no_cache(browser: Client, path: str) -> None:
    assert "no-store" in browser.get(path).headers["Cache-Control"]


def test_a_forgotten_password_is_replaced_by_a_mailed_link(client: Client, person: User) -> None:
    client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    form = client.get(link_in(mail.outbox[-1]), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": "another-horse-7", "password2": "another-horse-7"})
    signed_in = client.post("/accounts/login/", {"login": "ada@example.com", "password": "another-horse-7"})
    assert signed_in.status_code == 302


def test_a_used_or_invented_reset_link_says_so(client: Client) -> None:
    page = client.get("/accounts/password/reset/key/1-abc-def/").content.decode()
    assert "This link no longer works" in page


def test_asking_for_an_unknown_address_tells_nothing(client: Client) -> None:
    response = client.post("/accounts/password/reset/", {"email": "unknown@example.com"}, follow=True)
    assert "Look into your mail" in response.content.decode()


def test_the_page_says_where_mail_goes_when_none_is_sent(client: Client, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "printed in the terminal" in client.get("/accounts/password/reset/").content.decode()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert "printed in the terminal" not in client.get("/accounts/password/reset/").content.decode()


def test_a_new_address_counts_once_confirmed(browser: Client, person: User) -> None:
    browser.post("/accounts/email/", {"email": "ada@new.example.com", "action_add": ""})
    person.refresh_from_db()
    assert person.email == "ada@example.com"
    confirmation = next(message for message in mail.outbox if "Confirm" in message.subject)
    assert confirmation.to == ["ada@new.example.com"]
    link = link_in(confirmation)
    assert "ada@new.example.com" in browser.get(link).content.decode()
    browser.post(link)
    person.refresh_from_db()
    assert person.email == "ada@new.example.com"


def test_the_address_one_signs_in_with_cannot_be_dropped(browser: Client, person: User) -> None:
    browser.post("/accounts/email/", {"email": "ada@new.example.com", "action_add": ""})
    for address in ("ada@example.com", "ada@new.example.com"):
        browser.post("/accounts/email/", {"email": address, "action_remove": ""})
    person.refresh_from_db()
    assert person.email == "ada@example.com"
    assert [row.email for row in person.emailaddress_set.all()] == ["ada@example.com"]


def test_an_address_of_another_account_is_refused(browser: Client, person: User, stranger: User) -> None:
    page = browser.post("/accounts/email/", {"email": "EVE@example.com", "action_add": ""})
    assert "Another account uses this address already" in page.content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "login",
        "signup",
        "password/reset",
        "password/reset/done",
        "confirm-email",
        "inactive",
        "password/reset/key/done",
        "confirm-email/nonsense",
    ],
)
def test_every_page_says_that_it_is_simulated_and_breaks_no_rule_of_the_csp(
    client: Client, settings: Any, path: str
) -> None:
    page = client.get(f"/accounts/{path}/")
    text = page.content.decode()
    assert (
        "Simulator mode: answers are made up, no provider is called, costs are what real models would charge"
        in text
    )
    assert "'unsafe" not in page["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)


@pytest.mark.parametrize("path", ["logout/", "email/", "password/change/", "reauthenticate/"])
def test_every_page_of_a_person_is_ours(browser: Client, path: str) -> None:
    page = browser.get(f"/accounts/{path}", follow=True)
    assert page.status_code == 200
    assert "Simulator mode" in page.content.decode()
    assert "routeplex.css" in page.content.decode()
