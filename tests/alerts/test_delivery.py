"""Deliveries: signed, tried again with growing pauses under one id, mailed to owners and staff."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from standardwebhooks import Webhook, WebhookVerificationError

from accounts.models import Account, Member, User
from billing.alerts.channels import (
    add_email,
    add_slack,
    add_webhook,
    default_channel,
    remove,
    rotate_secret,
    switch,
)
from billing.alerts.checks import check_operator_webhook
from billing.alerts.delivery import PAUSES, deliver_due
from billing.alerts.models import Alert, AlertChannel, Delivery
from billing.alerts.publish import raise_alert, resolve_alert, send_test
from tests.alerts.conftest import Receiver, make_account

pytestmark = pytest.mark.django_db


def now() -> datetime:
    return datetime.now(UTC)


def hooked(account: Account, receiver: Receiver) -> tuple[AlertChannel, str]:
    switch(default_channel(account), on=False)
    return add_webhook(account, receiver.url, None)


def alert(account: Account | None = None, **fields: Any) -> Alert:
    raised = raise_alert("budget.day.80", "Much is spent", "80 % is spent.", account=account, **fields)
    assert raised is not None
    return raised


def test_a_webhook_arrives_signed_and_says_what_happened(account: Account, receiver: Receiver) -> None:
    channel, secret = hooked(account, receiver)
    raised = alert(account, detail={"left": "2"})
    assert deliver_due(now()) == 1
    assert receiver.verified(secret) == [
        {
            "type": "budget.day.80",
            "timestamp": f"{raised.raised_at:%Y-%m-%dT%H:%M:%S.%fZ}",
            "data": {
                "id": raised.pk,
                "account": {"id": account.pk, "name": "mine"},
                "severity": "warning",
                "subject": "Much is spent",
                "message": "80 % is spent.",
                "detail": {"left": "2"},
                "url": "http://localhost:8000/limits/",
            },
        }
    ]
    assert secret.startswith("whsec_")
    assert secret.encode() not in bytes(channel.secret or b"")
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.tries, delivery.last_status_code) == ("delivered", 1, 200)
    assert deliver_due(now() + timedelta(days=1)) == 0


def test_a_slack_compatible_webhook_gets_one_text(account: Account, receiver: Receiver) -> None:
    switch(default_channel(account), on=False)
    add_slack(account, receiver.url, None)
    raise_alert("budget.day.80", "Much <is> spent", "80 % & more.", account=account)
    assert deliver_due(now()) == 1
    ((headers, body),) = receiver.arrived
    assert json.loads(body) == {
        "text": "*Much &lt;is&gt; spent* (mine)\n80 % &amp; more.\n"
        "<http://localhost:8000/limits/|Open in RoutePlex>"
    }
    assert "webhook-signature" not in {name.lower() for name in headers}


def test_an_alert_is_mailed_as_text_and_as_html(account: Account) -> None:
    alert(account)
    deliver_due(now())
    (message,) = mail.outbox
    assert "80 % is spent." in str(message.body)
    ((html, kind),) = message.alternatives  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert "80 % is spent." in html
    assert "http://localhost:8000/limits/" in html


def test_another_secret_does_not_verify(account: Account, receiver: Receiver) -> None:
    channel, old = hooked(account, receiver)
    new = rotate_secret(channel)
    alert(account)
    deliver_due(now())
    assert receiver.verified(new)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(receiver.arrived[0][1], receiver.arrived[0][0])


def test_a_receiver_that_fails_is_tried_again_with_the_same_id_until_it_recovers(
    account: Account, receiver: Receiver
) -> None:
    channel, secret = hooked(account, receiver)
    receiver.answers = [500, 302]
    alert(account)
    moment = now()
    deliver_due(moment)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.tries, delivery.last_status_code) == ("pending", 1, 500)
    assert delivery.last_error == "hi"
    assert timedelta(seconds=9) < delivery.next_try_at - moment < timedelta(seconds=15)
    channel.refresh_from_db()
    assert channel.failing_since is not None
    assert deliver_due(moment + timedelta(seconds=5)) == 0
    deliver_due(moment + timedelta(seconds=20))
    deliver_due(moment + timedelta(seconds=200))
    assert Delivery.objects.get().status == "delivered"
    assert len(receiver.verified(secret)) == 3
    assert len(set(receiver.ids)) == 1
    channel.refresh_from_db()
    assert channel.failing_since is None


def test_the_pauses_are_10_s_1_min_5_min_30_min_2_h_and_then_it_has_failed(
    account: Account, receiver: Receiver
) -> None:
    hooked(account, receiver)
    receiver.answers = [503] * 10
    alert(account)
    pauses = []
    moment = now()
    while (delivery := Delivery.objects.get()).status == "pending":
        deliver_due(max(moment, delivery.next_try_at))
        pauses.append(round((Delivery.objects.get().next_try_at - now()).total_seconds()))
    assert pauses[:5] == [10, 60, 300, 1800, 7200] == [round(pause.total_seconds()) for pause in PAUSES]
    assert (delivery.status, delivery.tries) == ("failed", 6)
    assert len(receiver.arrived) == 6


def test_a_receiver_that_says_gone_is_sent_nothing_more(account: Account, receiver: Receiver) -> None:
    channel, _ = hooked(account, receiver)
    receiver.answers = [410]
    alert(account)
    deliver_due(now())
    channel.refresh_from_db()
    assert (Delivery.objects.get().status, channel.enabled) == ("failed", False)


def test_a_private_address_is_never_called(account: Account, receiver: Receiver, settings: Any) -> None:
    hooked(account, receiver)
    settings.OUTBOUND_ALLOWED_HOSTS, settings.OUTBOUND_ALLOW_HTTP = [], True
    alert(account)
    deliver_due(now())
    assert receiver.arrived == []
    assert Delivery.objects.get().last_error


def test_an_alert_is_raised_once_until_it_is_resolved(account: Account) -> None:
    assert raise_alert("a", "s", "m", account=account, once_key="k")
    assert raise_alert("a", "s", "m", account=account, once_key="k") is None
    assert resolve_alert("k")
    assert not resolve_alert("k")
    assert raise_alert("a", "s", "m", account=account, once_key="k")
    assert raise_alert("a", "s", "m", account=account)
    assert raise_alert("a", "s", "m", account=account)


def test_an_accounts_owners_are_mailed_unless_they_switch_it_off(
    account: Account, owner: User, mailoutbox: list[Any]
) -> None:
    second = User.objects.create_user("second@alerts.example")
    viewer = User.objects.create_user("viewer@alerts.example")
    Member.objects.create(account=account, user=second)
    Member.objects.create(account=account, user=viewer, role=Member.Role.VIEWER)
    alert(account)
    deliver_due(now())
    (mail,) = mailoutbox
    assert sorted(mail.recipients()) == sorted([owner.email, "second@alerts.example"])
    assert mail.to == []  # owners may not know each other's address
    assert mail.subject == "[RoutePlex] Much is spent"
    assert "80 % is spent." in mail.body
    assert "http://localhost:8000/limits/" in mail.body
    switch(default_channel(account), on=False)
    alert(account)
    deliver_due(now())
    assert len(mailoutbox) == 1


def test_a_members_address_is_mailed_while_they_are_one(account: Account, mailoutbox: list[Any]) -> None:
    switch(default_channel(account), on=False)
    viewer = User.objects.create_user("viewer@alerts.example")
    member = Member.objects.create(account=account, user=viewer, role=Member.Role.VIEWER)
    add_email(account, viewer.email, None)
    alert(account)
    deliver_due(now())
    assert mailoutbox[0].recipients() == [viewer.email]
    member.delete()
    alert(account)
    deliver_due(now())
    assert len(mailoutbox) == 1
    assert Delivery.objects.order_by("-pk")[0].last_error == "No active user has this address any more."


def test_the_operators_alerts_go_to_staff_and_to_the_operators_webhook(
    receiver: Receiver, settings: Any, mailoutbox: list[Any]
) -> None:
    make_account("somebody")
    User.objects.create_user("staff@alerts.example", is_staff=True)
    settings.OPERATOR_WEBHOOK_URL = receiver.url
    settings.OPERATOR_WEBHOOK_SECRET = secret = "whsec_" + "c2VjcmV0LW9mLXRoZS1vcGVyYXRvci0x"
    alert()
    deliver_due(now())
    assert [mail.recipients() for mail in mailoutbox] == [["staff@alerts.example"]]
    assert receiver.verified(secret)[0]["data"]["account"] is None


def test_a_mail_server_that_is_away_is_tried_again(
    account: Account, settings: Any, mailoutbox: list[Any]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    alert(account)
    moment = now()
    deliver_due(moment)
    assert "mail server" in Delivery.objects.get().last_error
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    deliver_due(moment + timedelta(seconds=20))
    assert Delivery.objects.get().status == "delivered"


def test_a_removed_channel_gets_nothing_and_its_log_stays(account: Account, receiver: Receiver) -> None:
    channel, _ = hooked(account, receiver)
    alert(account)
    remove(channel)
    deliver_due(now())
    assert receiver.arrived == []
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.channel, delivery.address) == ("failed", None, receiver.url)


def test_a_test_goes_to_its_channel_alone(account: Account, receiver: Receiver) -> None:
    channel, secret = hooked(account, receiver)
    switch(default_channel(account), on=True)
    send_test(channel, now())
    deliver_due(now())
    assert receiver.verified(secret)[0]["type"] == "test"
    assert Delivery.objects.count() == 1


def test_a_worker_that_died_leaves_its_deliveries_to_the_next(account: Account, receiver: Receiver) -> None:
    from billing.alerts import delivery

    hooked(account, receiver)
    alert(account)
    moment = now()
    assert len(delivery._claim_batch(moment)) == 1  # and the worker is gone
    assert deliver_due(moment + timedelta(seconds=10)) == 0
    assert deliver_due(moment + timedelta(minutes=6)) == 1


@pytest.mark.parametrize(
    ("url", "secret", "ids"),
    [
        ("", "", []),
        ("https://example.com/hooks", "whsec_c2VjcmV0LW9mLXRoZS1vcGVyYXRvci0x", []),
        ("https://example.com/hooks", "", ["alerts.E002"]),
        ("https://example.com/hooks", "whsec_not base64", ["alerts.E002"]),
        ("http://example.com/hooks", "", ["alerts.E001", "alerts.E002"]),
    ],
)
def test_an_invalid_operator_webhook_fails_the_system_check(
    settings: Any, url: str, secret: str, ids: list[str]
) -> None:
    settings.OPERATOR_WEBHOOK_URL, settings.OPERATOR_WEBHOOK_SECRET = url, secret
    assert [error.id for error in check_operator_webhook()] == ids
