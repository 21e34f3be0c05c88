"""Tables of the sums of closed hours, and of the time up to which there are any.

Money is stored as integers, billionths of a USD, because SQLite adds decimals as floats.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey
from billing.usage_columns import SummedUsageColumns


class RolledUntil(models.Model):
    """A single row: every request created before `until` belongs to an AccountHour."""

    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.until:%Y-%m-%d %H:%M}"


class AccountHour(models.Model):
    """An hour (UTC) with requests of an account. While it is stale, reports read the ledger instead."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    hour = models.DateTimeField()
    stale = models.BooleanField(default=True)
    rolled_at = models.DateTimeField(null=True, blank=True)
    requests = models.PositiveIntegerField(default=0)
    summary = models.JSONField(null=True, blank=True)  # billing.reports.summary.Summary

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "hour"], name="account_hour_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["hour"], name="account_hour_stale", condition=Q(stale=True)),
        ]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.hour:%Y-%m-%d %H:%M}"


class HourUsage(SummedUsageColumns):
    """Sums of the requests of an account's hour that share all dimensions."""

    of = models.ForeignKey(AccountHour, on_delete=models.CASCADE, related_name="usage")
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    served_model = models.CharField(max_length=120, blank=True)
    provider = models.CharField(max_length=60, blank=True)
    strategy = models.CharField(max_length=16)
    query_type = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=12)
    requests = models.PositiveIntegerField()
    unpriced = models.PositiveIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)
    wasted_nano = models.BigIntegerField(default=0)
    compared = models.PositiveIntegerField(default=0)  # requests with a cost and a baseline
    compared_nano = models.BigIntegerField(default=0)  # their cost
    baseline_nano = models.BigIntegerField(default=0)  # their cost at the baseline model
    timed = models.PositiveIntegerField(default=0)  # requests with a latency
    latency_ms = models.PositiveBigIntegerField(default=0)  # their sum
    forecast_compared = models.PositiveIntegerField(
        default=0, db_default=0
    )  # compared, by baseline_version 2
    forecast_nano = models.BigIntegerField(default=0, db_default=0)
    forecast_low_nano = models.BigIntegerField(default=0, db_default=0)
    forecast_high_nano = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["of", "key", "served_model", "provider", "strategy", "query_type", "status"],
                name="hour_usage_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.requests} requests of {self.served_model}"
