"""Tables of alert channels, alerts, their deliveries, and the last runs of jobs."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, User


def new_webhook_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


class ChannelKind(models.TextChoices):
    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"  # an incoming webhook of Slack, or of a service that takes the same


class AlertChannel(models.Model):
    """Where an account's alerts go: an e-mail address, or a URL that receives signed messages."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="alert_channels")
    kind = models.CharField(max_length=8, choices=ChannelKind.choices)
    address = models.CharField(max_length=2000, blank=True)  # URL or e-mail; empty: the account's owners
    secret = models.BinaryField(null=True, blank=True)  # of a webhook, encrypted
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True)  # the first failed try after the last success
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "kind", "address"], name="channel_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its name on pages; typed to confirm that it is removed."""
        return self.address or "the account's owners"

    @property
    def is_default(self) -> bool:
        return self.kind == ChannelKind.EMAIL and not self.address


class Alert(models.Model):
    """An event an account or the operator should know of. At most one open alert has a given `once_key`."""

    class Severity(models.TextChoices):
        INFO = "info"
        WARNING = "warning"
        CRITICAL = "critical"

    account = models.ForeignKey(
        Account, null=True, blank=True, on_delete=models.CASCADE, related_name="alerts"
    )  # NULL: the operator's
    kind = models.CharField(max_length=80)  # e.g. budget.day.80, provider.circuit, price.moved
    subject = models.CharField(max_length=160)
    message = models.TextField()
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.WARNING)
    detail = models.JSONField(null=True, blank=True)
    once_key = models.CharField(max_length=200, blank=True)  # empty: raised every time
    raised_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["once_key"],
                condition=Q(resolved_at=None) & ~Q(once_key=""),
                name="alert_open_once",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-raised_at"], name="alert_by_account")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"


class Delivery(models.Model):
    """One alert to be sent through one channel: a row of the delivery log, which outlives the channel."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(  # NULL: the operator's, or removed since
        AlertChannel, null=True, blank=True, on_delete=models.SET_NULL, related_name="deliveries"
    )
    kind = models.CharField(max_length=8, choices=ChannelKind.choices)
    address = models.CharField(max_length=2000, blank=True)
    webhook_id = models.CharField(max_length=40, unique=True, default=new_webhook_id)  # the same for each try
    tries = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    next_try_at = models.DateTimeField()  # while a worker is trying: when another may take over
    last_status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], name="delivery_due", condition=Q(status="pending"))
        ]

    def __str__(self) -> str:
        return f"{self.webhook_id} {self.status}"


class JobRun(models.Model):
    """The last run of one Celery task."""

    name = models.CharField(primary_key=True, max_length=120)  # the task's
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)  # NULL: running, or killed
    ok = models.BooleanField(null=True)
    error = models.CharField(max_length=300, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    first_started_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
