"""Limits and alerts: members see them, owners and admins change them, others get a 404."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from standardwebhooks import Webhook

from accounts.caller import Limits
from accounts.keys import create_key
from accounts.models import Account, ApiKey, AuditEntry, Member, User
from billing.alerts.channels import add_webhook, default_channel
from billing.alerts.delivery import deliver_due
from billing.alerts.models import AlertChannel, Delivery
from billing.alerts.publish import raise_alert
from billing.models import Request
from core.encryption import decrypt
from tests.alerts.conftest import Receiver, make_account

pytestmark = pytest.mark.django_db


def text_of(page: Client, path: str = "/limits/") -> str:
    response = page.get(path)
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def acts(account: Account) -> list[str]:
    return list(AuditEntry.objects.filter(account=account).order_by("pk").values_list("action", flat=True))


@pytest.fixture
def channel(account: Account, receiver: Receiver) -> AlertChannel:
    return add_webhook(account, receiver.url, None)[0]


def as_viewer(account: Account) -> None:
    Member.objects.filter(account=account).update(role=Member.Role.VIEWER)


def test_limits_show_spent_held_left_and_when_they_start_anew(
    page: Client, account: Account, spend: Callable[..., None]
) -> None:
    key, _ = create_key(account, "laptop", limits=Limits(daily_tokens=1000, requests_per_minute=7))
    spend(account, usd="2.5", held="1.5")
    spend(key, tokens=900)
    shown = text_of(page)
    assert "USD per day 25% $2.50 $1.50 $6.00 $10.00" in shown
    assert "Tokens per day 90% 900 0 100 1,000" in shown
    assert "7 requests/min" in shown
    html = page.get("/limits/").content.decode()
    assert '<rect class="limit-spent" width="25.00"' in html
    assert '<rect class="limit-held" x="25.00" width="15.00"' in html
    assert f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d} 00:00:00 UTC" in html


def test_holds_alive_now_are_listed(page: Client, account: Account, key: ApiKey) -> None:
    now = datetime.now(UTC)
    Request.objects.create(
        id="req_alive", account=account, key=key, created_at=now, lease_until=now, owner="0123456789abcdef",
        door="native", mode="m", strategy="auto", routed_model="small", held_usd=Decimal("0.0125"),
        held_tokens=4321, trace={},
    )  # fmt: skip
    shown = text_of(page)
    assert "1 open request holds $0.0125 and 4,321 tokens" in shown
    assert "req_alive" in shown
    assert "01234567" in shown


def test_a_webhook_is_added_its_secret_shown_once_tested_and_logged(
    page: Client, account: Account, receiver: Receiver
) -> None:
    response = page.post("/limits/channels/webhook/new/", {"url": receiver.url})
    secret = re.search(r"whsec_[\w+/=]+", response.content.decode())
    assert secret is not None
    assert "no-store" in response["Cache-Control"]
    channel = AlertChannel.objects.get(kind="webhook")
    page.post(f"/limits/channels/{channel.pk}/test/")
    deliver_due(datetime.now(UTC))
    assert receiver.verified(secret.group())[0]["type"] == "test"
    shown = text_of(page)
    assert secret.group() not in shown
    assert "delivered 200 1" in shown
    again = page.post(f"/limits/channels/{channel.pk}/test/", follow=True)
    assert "Wait ten seconds" in again.content.decode()
    assert acts(account) == ["channel.created"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1/", "cannot be found on the public internet"),
        ("https://localhost/hook", "cannot be found on the public internet"),
        ("http://example.com/", "must begin with https"),
        ("https://me:secret@example.com/", "user name or password"),
        ("nonsense", "names no host"),
        ("", "required"),
    ],
)
def test_a_bad_url_is_refused_in_words(page: Client, url: str, words: str) -> None:
    response = page.post("/limits/channels/webhook/new/", {"url": url})
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not AlertChannel.objects.filter(kind="webhook").exists()


def test_a_channel_is_switched_rotated_and_removed_by_name(
    page: Client, account: Account, channel: AlertChannel
) -> None:
    old = decrypt(bytes(channel.secret or b""))
    path = f"/limits/channels/{channel.pk}"
    page.post(f"{path}/off/")
    assert not AlertChannel.objects.get(pk=channel.pk).enabled
    page.post(f"{path}/on/")
    assert AlertChannel.objects.get(pk=channel.pk).enabled
    response = page.post(f"{path}/secret/").content.decode()
    new = decrypt(bytes(AlertChannel.objects.get(pk=channel.pk).secret or b""))
    assert new != old
    assert new in response
    assert Webhook(new)
    refused = page.post(f"{path}/remove/", {"name": "something else"})
    assert refused.status_code == 422
    page.post(f"{path}/remove/", {"name": channel.address})
    assert not AlertChannel.objects.filter(pk=channel.pk).exists()
    assert acts(account) == [
        "channel.switched_off", "channel.switched_on", "channel.rotated", "channel.removed",
    ]  # fmt: skip


def test_the_owners_mail_cannot_be_removed(page: Client, account: Account) -> None:
    mail = default_channel(account)
    page.post(f"/limits/channels/{mail.pk}/remove/", {"name": mail.name})
    assert AlertChannel.objects.filter(pk=mail.pk).exists()
    assert page.post(f"/limits/channels/{mail.pk}/secret/").status_code == 404


def test_mail_goes_to_members_only(page: Client, account: Account, owner: User) -> None:
    path = "/limits/channels/email/new/"
    assert page.post(path, {"address": "victim@elsewhere.example"}).status_code == 422
    assert page.post(path, {"address": owner.email}).status_code == 302
    assert AlertChannel.objects.filter(account=account, address=owner.email).count() == 1
    assert page.post(path, {"address": owner.email}).status_code == 422


def test_an_account_has_at_most_ten_channels(page: Client, account: Account, receiver: Receiver) -> None:
    for number in range(9):
        add_webhook(account, f"{receiver.url}/{number}", None)
    response = page.post("/limits/channels/webhook/new/", {"url": receiver.url})
    assert "at most 10 channels" in response.content.decode()


def test_a_keys_limits_are_changed_and_written_down(page: Client, account: Account, key: ApiKey) -> None:
    path = f"/keys/{key.pk}/limits/"
    assert page.post(path, {"daily_usd": "-1"}).status_code == 422
    page.post(path, {"daily_usd": "2.5", "monthly_tokens": "1000", "requests_per_minute": ""})
    key.refresh_from_db()
    assert (key.daily_usd, key.monthly_tokens, key.requests_per_minute) == (Decimal("2.5"), 1000, None)
    entry = AuditEntry.objects.get(account=account)
    assert (entry.action, entry.target) == ("limits.changed", str(key))
    assert entry.detail == {"daily_usd": ["none", "2.5"], "monthly_tokens": ["none", "1000"]}
    page.post(path, {"daily_usd": "2.5", "monthly_tokens": "1000"})
    assert AuditEntry.objects.count() == 1  # nothing changed


def test_a_viewer_looks_but_does_not_touch(
    page: Client, account: Account, key: ApiKey, channel: AlertChannel
) -> None:
    as_viewer(account)
    shown = page.get("/limits/").content.decode()
    assert channel.address in shown
    assert "Add a webhook" not in shown
    assert "Change limits" not in shown
    for path in (
        "/limits/channels/webhook/new/",
        "/limits/channels/email/new/",
        f"/keys/{key.pk}/limits/",
        *(f"/limits/channels/{channel.pk}/{act}/" for act in ("test", "on", "off", "secret", "remove")),
    ):
        assert page.post(path, {"name": channel.name}).status_code == 403
    assert not Delivery.objects.exists()


def test_another_accounts_things_are_not_there(page: Client, receiver: Receiver) -> None:
    other = make_account("stranger")
    theirs, _ = add_webhook(other, receiver.url + "/theirs", None)
    key, _ = create_key(other, "their-key")
    raise_alert("a", "their alert", "their message", account=other)
    for method in ("get", "post"):
        for path in (
            f"/keys/{key.pk}/limits/",
            *(f"/limits/channels/{theirs.pk}/{act}/" for act in ("secret", "remove")),
        ):
            assert getattr(page, method)(path, {"name": theirs.name}).status_code == 404
    for act in ("test", "on", "off"):
        assert page.post(f"/limits/channels/{theirs.pk}/{act}/").status_code == 404
    shown = page.get("/limits/").content.decode()
    for words in ("their-key", "/theirs", "their alert", "their message"):
        assert words not in shown


def test_staff_set_an_accounts_plan_and_limits(page: Client, account: Account, owner: User) -> None:
    customer = make_account("customer", plan="evaluation")
    path = f"/operator/accounts/{customer.pk}/"
    for where in (path, "/operator/accounts/"):
        assert page.get(where).status_code == 404
        assert Client().get(where).status_code == 404
    assert page.post(path, {"plan": "unlimited"}).status_code == 404
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    assert "customer" in text_of(page, "/operator/accounts/?q=CUSTOM")
    assert "customer" not in text_of(page, "/operator/accounts/?q=nobody")
    assert page.post(path, {"plan": "usage", "daily_usd": "3"}).status_code == 302
    customer.refresh_from_db()
    assert (customer.plan_id, customer.daily_usd) == ("usage", Decimal(3))
    entry = AuditEntry.objects.get(account=customer)
    assert (entry.actor, entry.action) == (owner, "limits.changed")
    assert entry.detail == {"plan": ["evaluation", "usage"], "daily_usd": ["none", "3"]}
    assert "USD per day $3.00" in text_of(page, path)
    assert "Tokens per month no limit" in text_of(page, path)
    assert page.post(path, {"plan": "gold"}).status_code == 422


def test_pages_are_for_those_signed_in() -> None:
    for path in ("/limits/", "/limits/channels/webhook/new/", "/keys/1/limits/"):
        assert Client().get(path).url == f"/accounts/login/?next={path}"


def test_forms_need_their_csrf_token(owner: User, channel: AlertChannel) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(f"/limits/channels/{channel.pk}/off/").status_code == 403


def test_what_a_receiver_answers_is_shown_as_text(
    page: Client, account: Account, channel: AlertChannel
) -> None:
    raise_alert("a", "<script>alert(1)</script>", "m", account=account)
    Delivery.objects.update(last_error="<img src=x onerror=alert(1)>", last_status_code=500)
    shown = page.get("/limits/").content.decode()
    assert "<script>alert(1)" not in shown
    assert "<img src=x" not in shown
    assert "&lt;img src=x" in shown


def test_the_log_goes_on_and_the_page_takes_as_many_queries_for_many_as_for_one(
    page: Client, account: Account, django_assert_max_num_queries: Any
) -> None:
    for number in range(45):
        raise_alert("a", f"alert number {number}.", "m", account=account)
        create_key(account, f"key {number}", limits=Limits(daily_usd=Decimal(1)))
    with django_assert_max_num_queries(14):
        first = page.get("/limits/").content.decode()
    assert "alert number 44." in first
    assert "alert number 20." not in first
    older = re.search(r'href="(\?before=\d+)"', first)
    assert older is not None
    assert "alert number 20." in page.get("/limits/" + older.group(1)).content.decode()
