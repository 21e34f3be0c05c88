"""Tables of Stripe customers, subscriptions, reported usage, and handled webhook messages."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account


class StripeCustomer(models.Model):
    """An account's customer at Stripe, created before the first checkout."""

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="stripe")
    customer_id = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.customer_id


class Subscription(models.Model):
    """A subscription to the metered price: usage from `since` until before `until` is reported."""

    customer = models.ForeignKey(StripeCustomer, on_delete=models.PROTECT, related_name="subscriptions")
    subscription_id = models.CharField(max_length=64, unique=True)
    status = models.CharField(max_length=24)  # Stripe's: active, past_due, canceled, …
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.subscription_id} {self.status}"


class MeterEvent(models.Model):
    """Usage to report to Stripe once, under an identifier that is the same at every try."""

    class State(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"  # being sent, or the process that did so died
        SENT = "sent"
        UNKNOWN = "unknown"  # sent, but Stripe did not confirm it
        FAILED = "failed"  # refused; the operator was alerted

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="events")
    identifier = models.CharField(max_length=64, unique=True)
    micro_usd = models.PositiveBigIntegerField()
    used_at = models.DateTimeField()  # the time Stripe bills it at
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    first_try_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["state"], name="meter_event_open", condition=~Q(state="sent"))
        ]

    def __str__(self) -> str:
        return f"{self.identifier} {self.state}"

    @property
    def usd(self) -> Decimal:
        return Decimal(self.micro_usd).scaleb(-6)


class WebhookEvent(models.Model):
    """A webhook message of Stripe that was handled; duplicates are acknowledged and ignored."""

    event_id = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=80)
    received_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.event_id} {self.kind}"
