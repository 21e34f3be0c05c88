"""Tables of statements and their lines; rows are written once and never changed."""

from datetime import date, datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import Account, ApiKey
from billing.usage_columns import SummedUsageColumns


class Statement(models.Model):
    """One account's month. `total_usd` = `usage_usd` + `corrections_usd`."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="statements")
    number = models.CharField(max_length=24, unique=True)
    time_zone = models.CharField(max_length=64)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()  # exclusive
    made_at = models.DateTimeField()
    requests = models.PositiveBigIntegerField()
    unpriced = models.PositiveBigIntegerField(default=0)  # requests without a price at that time
    usage_usd = models.DecimalField(max_digits=18, decimal_places=9)
    corrections_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    total_usd = models.DecimalField(max_digits=18, decimal_places=9)

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "starts_at"], name="statement_once"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="statement_ends_after_start"
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def last_moment(self) -> datetime:
        """The last moment of its last day, since `ends_at` is the first of the next month."""
        return self.ends_at - timedelta(microseconds=1)

    @property
    def title(self) -> str:
        """October 2026"""
        return f"{date.fromisoformat(f'{self.number[:7]}-01'):%B %Y}"


class StatementLine(SummedUsageColumns):
    """Usage of one key and model, or the correction of an earlier statement (`corrects`)."""

    statement = models.ForeignKey(Statement, on_delete=models.CASCADE, related_name="lines")
    corrects = models.ForeignKey(
        Statement, null=True, blank=True, on_delete=models.PROTECT, related_name="corrections"
    )
    key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    key_name = models.CharField(max_length=120, blank=True)  # at that time
    provider = models.CharField(max_length=60, blank=True)
    model = models.CharField(max_length=120, blank=True)  # empty: no model answered
    requests = models.PositiveBigIntegerField(default=0)
    unpriced = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["statement", "key", "provider", "model"],
                condition=Q(corrects=None),
                name="statement_usage_once",
            ),
            models.UniqueConstraint(fields=["statement", "corrects"], name="statement_correction_once"),
        ]

    def __str__(self) -> str:
        return f"{self.model or 'nothing'} in {self.statement_id}"
