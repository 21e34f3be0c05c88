"""Sums of closed hours, and how far they reach.

Money is in integers of a billionth of a USD, the ledger's last digit: SQLite adds decimals as floats.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey


class RolledUntil(models.Model):
    """One row: every request made before `until` is in an AccountHour."""

    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.until:%Y-%m-%d %H:%M}"


class AccountHour(models.Model):
    """An hour (UTC) in which an account made requests. While it is stale, reports read the ledger itself."""

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


class HourUsage(models.Model):
    """What the requests of an account's hour that are alike in all dimensions came to together."""

    of = models.ForeignKey(AccountHour, on_delete=models.CASCADE, related_name="usage")
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    served_model = models.CharField(max_length=120, blank=True)
    provider = models.CharField(max_length=60, blank=True)
    strategy = models.CharField(max_length=16)
    query_type = models.CharField(max_length=32, blank=True)
    status = models.CharField(max_length=12)
    requests = models.PositiveIntegerField()
    unpriced = models.PositiveIntegerField(default=0)
    uncached_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_read_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_1h_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)
    wasted_nano = models.BigIntegerField(default=0)
    compared = models.PositiveIntegerField(default=0)  # requests with a cost and a baseline
    compared_nano = models.BigIntegerField(default=0)  # their cost
    baseline_nano = models.BigIntegerField(default=0)  # what they would have cost
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
