"""Customers and subscriptions: made at Stripe on demand, and read from it whenever it says one changed.

What a message says is never taken over: messages come late, twice and out of order. It only makes us look.
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
    """The subscription that is metered now."""
    found = Subscription.objects.filter(customer__account=account, until=None, status__in=LIVE)
    return found.order_by("-since").first()


def checkout_url(account: Account, email: str, back: str) -> str:
    """Where the account enters how it pays. Raises CallRefused, NoAnswer, TryLater."""
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
    """Where invoices, cards and the cancellation are. Raises CallRefused, NoAnswer, TryLater."""
    try:
        session = client().v1.billing_portal.sessions.create(
            {"customer": customer.customer_id, "return_url": back}
        )
    except Exception as error:
        raise classified_error(error) from error
    return str(session.url)


def refresh(customer: StripeCustomer) -> None:
    """Make our subscriptions of the customer what Stripe's are. Raises CallRefused, NoAnswer, TryLater."""
    try:
        listed = client().v1.subscriptions.list(
            {"customer": customer.customer_id, "status": "all", "limit": 100}
        )
        found = [one for one in listed.auto_paging_iter() if _is_metered(one)]
    except Exception as error:
        raise classified_error(error) from error
    with transaction.atomic():
        StripeCustomer.objects.select_for_update().get(pk=customer.pk)
        for one in found:
            Subscription.objects.update_or_create(
                subscription_id=one["id"],
                defaults={
                    "customer": customer,
                    "status": one["status"],
                    "since": _moment(one["start_date"]),
                    "until": _moment(one["ended_at"]) if one["ended_at"] else None,
                },
            )


def _customer(account: Account, email: str) -> StripeCustomer:
    """Asked for twice at once it is one: Stripe answers the same under the same idempotency key."""
    known = StripeCustomer.objects.filter(account=account).first()
    if known is not None:
        return known
    try:
        made = client().v1.customers.create(
            {"name": account.name, "email": email, "metadata": {"routeplex_account": str(account.pk)}},
            {"idempotency_key": f"routeplex-customer-{account.pk}"},
        )
    except Exception as error:
        raise classified_error(error) from error
    return StripeCustomer.objects.get_or_create(account=account, defaults={"customer_id": made.id})[0]


def _is_metered(subscription: Any) -> bool:
    items = subscription["items"]["data"]
    started = subscription["status"] not in ("incomplete", "incomplete_expired")
    return started and any(item["price"]["id"] == settings.STRIPE_PRICE for item in items)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
