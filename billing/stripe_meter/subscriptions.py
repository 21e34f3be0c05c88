"""Customers and subscriptions: created at Stripe on demand, and read from it after each webhook message.

The content of a message is never used, because messages arrive late, twice and out of order. A message only
triggers a read.
"""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import Account
from billing.stripe_meter.client import classified_error, client
from billing.stripe_meter.models import StripeCustomer, Subscription

LIVE = ("active", "trialing", "past_due", "unpaid", "paused")


def current(account: Account) -> Subscription | None:
    """The account's live subscription."""
    live = Subscription.objects.filter(customer__account=account, until=None, status__in=LIVE)
    return live.order_by("-since").first()


def checkout_url(account: Account, email: str, back: str) -> str:
    """URL where the account enters its payment method. Raises CallRefused, NoAnswer, TryLater."""
    customer = _customer(account, email)
    try:
        session = client().v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer.customer_id,
                "client_reference_id": str(account.pk),
                "line_items": [{"price": settings.STRIPE_PRICE}],
                "success_url": back,
                "cancel_url": back,
            }
        )
    except Exception as error:
        raise classified_error(error) from error
    return str(session.url)


def portal_url(customer: StripeCustomer, back: str) -> str:
    """URL of the portal for invoices, cards and cancellation. Raises CallRefused, NoAnswer, TryLater."""
    try:
        session = client().v1.billing_portal.sessions.create(
            {"customer": customer.customer_id, "return_url": back}
        )
    except Exception as error:
        raise classified_error(error) from error
    return str(session.url)


def refresh(customer: StripeCustomer) -> None:
    """Update the customer's subscriptions to those at Stripe. Raises CallRefused, NoAnswer, TryLater."""
    try:
        listed = client().v1.subscriptions.list(
            {"customer": customer.customer_id, "status": "all", "limit": 100}
        )
        metered = [item for item in listed.auto_paging_iter() if _is_metered(item)]
    except Exception as error:
        raise classified_error(error) from error
    with transaction.atomic():
        StripeCustomer.objects.select_for_update().get(pk=customer.pk)
        for item in metered:
            Subscription.objects.update_or_create(
                subscription_id=item["id"],
                defaults={
                    "customer": customer,
                    "status": item["status"],
                    "since": _moment(item["start_date"]),
                    "until": _moment(item["ended_at"]) if item["ended_at"] else None,
                },
            )


def _customer(account: Account, email: str) -> StripeCustomer:
    """The account's customer, created if needed; the idempotency key prevents a second one at Stripe."""
    known = StripeCustomer.objects.filter(account=account).first()
    if known is not None:
        return known
    try:
        customer = client().v1.customers.create(
            {"name": account.name, "email": email, "metadata": {"routeplex_account": str(account.pk)}},
            {"idempotency_key": f"routeplex-customer-{account.pk}"},
        )
    except Exception as error:
        raise classified_error(error) from error
    return StripeCustomer.objects.get_or_create(account=account, defaults={"customer_id": customer.id})[0]


def _is_metered(subscription: Any) -> bool:
    items = subscription["items"]["data"]
    started = subscription["status"] not in ("incomplete", "incomplete_expired")
    return started and any(item["price"]["id"] == settings.STRIPE_PRICE for item in items)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
