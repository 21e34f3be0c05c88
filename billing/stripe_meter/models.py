"""Who pays by Stripe, what it was told, and which of its messages we have read."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account


class StripeCustomer(models.Model):
    """An account as Stripe knows it; made before the first checkout."""

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="stripe")
    customer_id = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.customer_id


class Subscription(models.Model):
    """A subscription to the metered price: what is used from `since` until before `until` is told."""

    customer = models.ForeignKey(StripeCustomer, on_delete=models.PROTECT, related_name="subscriptions")
    subscription_id = models.CharField(max_length=64, unique=True)
    status = models.CharField(max_length=24)  # as Stripe says: active, past_due, canceled, …
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.subscription_id} {self.status}"


class MeterEvent(models.Model):
    """Usage that Stripe is told once, under an identifier that is the same at every try."""

    class State(models.TextChoices):
        PENDING = "pending"
        SENDING = "sending"  # being told now, or the process that did so ended
        SENT = "sent"
        UNKNOWN = "unknown"  # told, without an answer that says it arrived
        FAILED = "failed"  # refused; an operator has been told

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
    """A message of Stripe's that was acted on; the same again is answered and left."""

    event_id = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=80)
    received_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.event_id} {self.kind}"
