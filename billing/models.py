"""The ledger's two tables and the price book; the verbs are in ledger.py and pricebook.py."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey
from billing.fields import CompressedJSONField


class ModelPrice(models.Model):
    """USD per million tokens by model, period, long-prompt tier and token class. Rows are only ever added."""

    class TokenClass(models.TextChoices):
        UNCACHED_INPUT = "uncached_input"
        CACHE_READ = "cache_read"
        CACHE_WRITE = "cache_write"
        CACHE_WRITE_1H = "cache_write_1h"
        OUTPUT = "output"

    model = models.CharField(max_length=120)
    effective_from = models.DateTimeField()  # 1970-01-01: since ever
    effective_until = models.DateTimeField(null=True, blank=True)  # exclusive; NULL: open
    over_input_tokens = models.PositiveIntegerField(default=0)
    token_class = models.CharField(max_length=16, choices=TokenClass.choices)
    usd_per_mtok = models.DecimalField(max_digits=14, decimal_places=6)
    source = models.CharField(max_length=120)
    version = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["model", "effective_from", "over_input_tokens", "token_class", "version"],
                name="price_once",
            ),
            models.CheckConstraint(condition=Q(usd_per_mtok__gte=0), name="price_not_negative"),
        ]
        indexes: ClassVar = [models.Index(fields=["model", "effective_from"], name="price_by_model")]

    def __str__(self) -> str:
        return f"{self.model} {self.token_class} {self.usd_per_mtok}"


class Request(models.Model):
    """One accepted request: written before the first upstream byte, settled exactly once. No bodies here."""

    class Status(models.TextChoices):
        OPEN = "open"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        ABORTED = "aborted"  # the caller left
        PARTIAL = "partial"  # the stream was cut
        EXPIRED = "expired"  # swept

    id = models.CharField(primary_key=True, max_length=40)  # req_…, sortable by time
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="requests")
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="requests")
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField()  # an open row past this is swept
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPEN)
    door = models.CharField(max_length=16)
    mode = models.CharField(max_length=16)
    strategy = models.CharField(max_length=16)
    streamed = models.BooleanField(default=False)
    query_type = models.CharField(max_length=32, blank=True)
    requested_model = models.CharField(max_length=120, blank=True)  # manual mode: as the caller wrote it
    routed_model = models.CharField(max_length=120)
    routed_effort = models.CharField(max_length=12, blank=True)
    served_model = models.CharField(max_length=120, blank=True)  # catalog id that answered
    served_effort = models.CharField(max_length=12, blank=True)
    provider = models.CharField(max_length=60, blank=True)
    upstream_model = models.CharField(max_length=160, blank=True)  # what the provider says it served
    fallback_used = models.BooleanField(default=False)
    uncached_input_tokens = models.PositiveIntegerField(default=0)
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    cache_write_1h_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    cost_usd = models.DecimalField(
        max_digits=18, decimal_places=9, null=True, blank=True
    )  # NULL: open, or unpriced
    wasted_usd = models.DecimalField(
        max_digits=18, decimal_places=9, default=0
    )  # billed to us by failed attempts, not charged
    held_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    baseline_model = models.CharField(max_length=120, blank=True)
    baseline_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    unit_prices = models.JSONField(null=True, blank=True)  # frozen, USD per million tokens
    price_version = models.CharField(max_length=64, blank=True)
    unpriced = models.BooleanField(default=False)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    ttft_ms = models.PositiveIntegerField(null=True, blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    selection_probability = models.FloatField(default=1.0)
    metadata = models.JSONField(null=True, blank=True)
    prompt_hash = models.CharField(max_length=64, blank=True)  # HMAC, per account
    trace = CompressedJSONField()  # routing.decide.decision.Trace

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status="open", settled_at__isnull=True) | Q(settled_at__isnull=False),
                name="request_settled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(cost_usd__isnull=True) | Q(cost_usd__gte=0), name="request_cost_not_negative"
            ),
            models.CheckConstraint(  # tokens > 0 ⇒ a cost, or said to be unpriced
                condition=Q(status="open") | Q(unpriced=True) | Q(cost_usd__isnull=False),
                name="request_priced_or_unpriced",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-created_at", "-id"], name="request_by_account"),
            models.Index(fields=["key", "-created_at"], name="request_by_key"),
            models.Index(fields=["lease_until"], name="request_open", condition=Q(status="open")),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.status}"


class Attempt(models.Model):
    """One upstream call of a request, numbered from 1."""

    class Outcome(models.TextChoices):
        OK = "ok"
        FAILED = "failed"
        ABORTED = "aborted"
        PARTIAL = "partial"

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=120)
    effort = models.CharField(max_length=12, blank=True)
    provider = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    error_kind = models.CharField(max_length=24, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    latency_ms = models.PositiveIntegerField()
    ttft_ms = models.PositiveIntegerField(null=True, blank=True)
    uncached_input_tokens = models.PositiveIntegerField(default=0)
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    cache_write_1h_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)  # NULL: unpriced
    provider_request_id = models.CharField(max_length=160, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "number"], name="attempt_number_once")
        ]
        indexes: ClassVar = [models.Index(fields=["model", "-started_at"], name="attempt_by_model")]

    def __str__(self) -> str:
        return f"{self.request_id} #{self.number} {self.model} {self.outcome}"
