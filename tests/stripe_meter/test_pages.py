"""The page Billing, and what Stripe's messages do: signed, in any order, any number of times."""

import hashlib
import hmac
import json
import logging
import time
from typing import Any

import pytest
from django.test import Client

from accounts.models import Member, User
from billing.alerts.models import Alert
from billing.stripe_meter.models import StripeCustomer, Subscription, WebhookEvent
from tests.billing.bookkeeping import Books
from tests.stripe_meter.conftest import HOOK_SECRET, HOUR, SECRET, START, Stripe, subscribed, tokens


@pytest.fixture
def page(books: Books) -> Client:
    return browser(books, Member.Role.OWNER)


def browser(books: Books, role: str) -> Client:
    user = User.objects.create_user(f"{role}{books.account.pk}@stripe.example")
    Member.objects.create(account=books.account, user=user, role=role)
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def heard(kind: str, customer: str, event: str = "evt_1", at: float | None = None, **parts: Any) -> int:
    """The status of what Stripe gets for its message."""
    body = json.dumps(
        {"id": event, "object": "event", "type": kind, "data": {"object": {"customer": customer}}}
    )
    stamp = int(at or time.time())
    mark = hmac.new(parts.get("secret", HOOK_SECRET).encode(), f"{stamp}.{body}".encode(), hashlib.sha256)
    header = f"t={stamp},v1={mark.hexdigest()}"
    return (
        Client(enforce_csrf_checks=True)
        .post("/stripe/webhook", body, content_type="application/json", headers={"Stripe-Signature": header})
        .status_code
    )


class TestOff:
    @pytest.mark.parametrize(
        "path", ["/billing/", "/billing/checkout/", "/billing/portal/", "/stripe/webhook"]
    )
    def test_there_is_nothing(self, page: Client, path: str) -> None:
        assert (page.get if path == "/billing/" else page.post)(path).status_code == 404
        assert "/billing/" not in page.get("/statements/").content.decode()


class TestThePage:
    def test_an_owner_goes_to_stripe_and_comes_back(self, books: Books, stripe: Stripe, page: Client) -> None:
        text = page.get("/billing/").content.decode()
        assert "does not pay through Stripe yet" in text
        assert "/billing/" in page.get("/statements/").content.decode()
        assert page.post("/billing/checkout/")["Location"] == "https://checkout.stripe.com/c/1"
        customer = StripeCustomer.objects.get(account=books.account)
        _, form = stripe.calls[-1]
        assert form["customer"] == customer.customer_id == f"cus_{books.account.pk}"
        assert form["line_items[0][price]"] == "price_metered"
        stripe.subscribe(customer.customer_id)
        assert heard("checkout.session.completed", customer.customer_id) == 200
        assert (
            "on Stripe&#x27;s invoices" in (text := page.get("/billing/").content.decode())
            or "active" in text
        )
        assert Subscription.objects.get(customer=customer).since == START

    def test_it_shows_reported_and_waiting_usage(self, books: Books, stripe: Stripe, page: Client) -> None:
        subscription = subscribed(books)
        subscription.events.create(identifier="a", micro_usd=1_250_000, used_at=START, state="sent")
        subscription.events.create(identifier="b", micro_usd=30_000, used_at=START, state="unknown")
        books.settled(START + HOUR, ("m", tokens(2_000_000)))
        text = page.get("/billing/").content.decode()
        assert "$1.25" in text
        assert "$0.03" in text
        assert "$0.7214" in text  # 2.0014 used, 1.28 reported
        assert page.post("/billing/portal/")["Location"] == "https://billing.stripe.com/p"
        assert page.post("/billing/checkout/")["Location"] == "/billing/"

    @pytest.mark.parametrize("fault", [500, 401, "silent"])
    def test_a_failure_of_stripe_changes_nothing_and_shows(
        self, books: Books, stripe: Stripe, page: Client, fault: int | str
    ) -> None:
        stripe.then = [fault]
        answer = page.post("/billing/checkout/", follow=True)
        assert "Nothing was changed" in answer.content.decode()
        assert not StripeCustomer.objects.exists()

    def test_viewers_look_only(self, books: Books, stripe: Stripe) -> None:
        viewer = browser(books, Member.Role.VIEWER)
        assert "Owners and admins" in viewer.get("/billing/").content.decode()
        assert viewer.post("/billing/checkout/").status_code == 403

    def test_another_account_sees_nothing_of_it(self, books: Books, stripe: Stripe) -> None:
        subscribed(books).events.create(identifier="zebra", micro_usd=1, used_at=START)
        text = browser(Books(), Member.Role.OWNER).get("/billing/").content.decode()
        assert "zebra" not in text
        assert "does not pay through Stripe yet" in text


class TestMessages:
    @pytest.fixture
    def customer(self, books: Books, stripe: Stripe) -> str:
        return StripeCustomer.objects.create(account=books.account, customer_id="cus_1").customer_id

    def test_only_stripes_are_heard(self, customer: str, stripe: Stripe) -> None:
        stripe.subscribe(customer)
        for forged in ({"secret": "whsec_other"}, {"at": time.time() - 3600}):
            assert heard("customer.subscription.created", customer, **forged) == 400
        unsigned = Client().post("/stripe/webhook", "{}", content_type="application/json")
        assert unsigned.status_code == 400
        assert not Subscription.objects.exists()

    def test_what_is_too_long_is_not_read(self, customer: str) -> None:
        answer = Client().post("/stripe/webhook", b"x" * 300_000, content_type="application/json")
        assert answer.status_code == 413

    def test_the_same_again_is_not_acted_on(self, customer: str, stripe: Stripe) -> None:
        stripe.subscribe(customer)
        assert [heard("customer.subscription.created", customer) for _ in range(2)] == [200, 200]
        assert (len(stripe.calls), WebhookEvent.objects.count()) == (1, 1)

    def test_late_ones_do_not_undo_newer_ones(self, customer: str, stripe: Stripe) -> None:
        stripe.subscribe(customer, status="canceled", ended_at=int((START + HOUR).timestamp()))
        assert heard("customer.subscription.deleted", customer, "evt_2") == 200
        assert heard("customer.subscription.updated", customer, "evt_1") == 200
        subscription = Subscription.objects.get()
        assert (subscription.status, subscription.until) == ("canceled", START + HOUR)

    def test_when_stripe_does_not_answer_it_sends_again(self, customer: str, stripe: Stripe) -> None:
        stripe.subscribe(customer)
        stripe.then = [500]
        assert heard("customer.subscription.created", customer) == 503
        assert heard("customer.subscription.created", customer) == 200
        assert Subscription.objects.get().status == "active"

    def test_other_products_are_not_ours(self, customer: str, stripe: Stripe) -> None:
        stripe.subscribe(customer, items={"object": "list", "data": [{"price": {"id": "price_other"}}]})
        stripe.subscribe(customer, 2, status="incomplete")
        assert heard("customer.subscription.created", customer) == 200
        assert heard("customer.subscription.created", "cus_of_somebody_else", "evt_2") == 200
        assert heard("price.created", customer, "evt_3") == 200
        assert not Subscription.objects.exists()

    def test_a_failed_payment_is_alerted_until_a_payment_succeeds(self, customer: str, books: Books) -> None:
        assert heard("invoice.payment_failed", customer, "evt_1") == 200
        alert = Alert.objects.get(account=books.account, kind="stripe.payment_failed")
        assert alert.resolved_at is None
        assert heard("invoice.paid", customer, "evt_2") == 200
        alert.refresh_from_db()
        assert alert.resolved_at is not None

    def test_no_secret_is_logged(
        self, customer: str, stripe: Stripe, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        stripe.then = [401]
        assert heard("customer.subscription.created", customer) == 503
        assert SECRET not in caplog.text
        assert HOOK_SECRET not in caplog.text
