"""Tables of the ledger, its windows, the price book, idempotent outcomes, re-pricings and audits."""

from typing import ClassVar

import msgspec
from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey, User
from billing.fields import CompressedJSONField
from billing.usage import Usage
from billing.usage_columns import UsageColumns


class ModelPrice(models.Model):
    """USD per million tokens by model, period, long-prompt tier and token class. Rows are only ever added."""

    class TokenClass(models.TextChoices):
        UNCACHED_INPUT = "uncached_input"
        CACHE_READ = "cache_read"
        CACHE_WRITE = "cache_write"
        CACHE_WRITE_1H = "cache_write_1h"
        OUTPUT = "output"
        AUDIO_INPUT = "audio_input"  # absent: as other uncached input

    model = models.CharField(max_length=120)
    service_tier = models.CharField(max_length=16, blank=True, default="", db_default="")  # empty: standard
    effective_from = models.DateTimeField()  # 1970-01-01: no start
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
                fields=[
                    "model",
                    "service_tier",
                    "effective_from",
                    "over_input_tokens",
                    "token_class",
                    "version",
                ],
                name="price_once",
            ),
            models.CheckConstraint(condition=Q(usd_per_mtok__gte=0), name="price_not_negative"),
        ]
        indexes: ClassVar = [models.Index(fields=["model", "effective_from"], name="price_by_model")]

    def __str__(self) -> str:
        return f"{self.model} {self.token_class} {self.usd_per_mtok}"


class PricedUsageColumns(UsageColumns):
    """Tokens of one completion, with what its price depends on beside them."""

    audio_input_tokens = models.PositiveIntegerField(default=0, db_default=0)  # of uncached_input_tokens
    # flex or priority, as the provider served it; empty: standard
    service_tier = models.CharField(max_length=16, blank=True, default="", db_default="")

    class Meta:
        abstract = True

    @property
    def usage(self) -> Usage:
        return msgspec.structs.replace(super().usage, audio_input_tokens=self.audio_input_tokens)


class Request(PricedUsageColumns):
    """One accepted request: written before the first byte goes upstream, settled exactly once. No bodies."""

    class Status(models.TextChoices):
        OPEN = "open"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        ABORTED = "aborted"  # the caller left
        PARTIAL = "partial"  # the stream was cut
        EXPIRED = "expired"  # swept

    # Values of baseline_version: 1 has the answer's own tokens at the baseline's prices. 2 has the baseline's
    # forecast tokens, reasoning included, scaled by the answer's visible length over its forecast.
    BASELINE_FROM_FORECAST = 2

    id = models.CharField(primary_key=True, max_length=40)  # req_…, sortable by time
    # The indexes and constraints of several columns below serve look-ups by their first one too.
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="requests", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="requests", db_index=False)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    owner = models.CharField(max_length=32, blank=True)  # the WebProcess that serves it
    lease_until = models.DateTimeField()  # an open row past this is swept
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPEN)
    door = models.CharField(max_length=16)
    mode = models.CharField(max_length=16)
    strategy = models.CharField(max_length=16)
    streamed = models.BooleanField(default=False)
    query_type = models.CharField(max_length=32, blank=True)
    difficulty = models.FloatField(null=True, blank=True)  # logits
    # Of the routed arm, before corrections from traffic. NULL: answer lengths are not learnt from this row.
    forecast_visible_tokens = models.PositiveIntegerField(null=True, blank=True)
    forecast_reasoning_tokens = models.PositiveIntegerField(null=True, blank=True)
    requested_model = models.CharField(max_length=120, blank=True)  # manual mode: as the caller wrote it
    routed_model = models.CharField(max_length=120)
    routed_effort = models.CharField(max_length=12, blank=True)
    served_model = models.CharField(max_length=120, blank=True)  # catalog id that answered
    served_effort = models.CharField(max_length=12, blank=True)
    provider = models.CharField(max_length=60, blank=True)
    upstream_model = models.CharField(max_length=160, blank=True)  # the model the provider reports
    fallback_used = models.BooleanField(default=False)
    rescued = models.BooleanField(default=False)  # a cut stream, continued by another attempt
    # The provider reports a model that was not requested.
    other_model_served = models.BooleanField(default=False)
    usage_estimated = models.BooleanField(default=False)
    # billing.usage.UsageIssue of the provider's report; empty: none
    usage_issue = models.CharField(max_length=16, blank=True, default="", db_default="")
    cost_usd = models.DecimalField(
        max_digits=18, decimal_places=9, null=True, blank=True
    )  # NULL: open, or unpriced
    wasted_usd = models.DecimalField(
        max_digits=18, decimal_places=9, default=0
    )  # cost of failed attempts, not charged to the account
    # Counted in its windows while open.
    held_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    held_tokens = models.PositiveBigIntegerField(default=0)
    baseline_model = models.CharField(max_length=120, blank=True)
    # How baseline_usd was computed, see BASELINE_FROM_FORECAST; `low` and `high` are its 90 % interval.
    baseline_version = models.PositiveSmallIntegerField(default=1, db_default=1)
    baseline_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    baseline_low_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    baseline_high_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
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
    trace = CompressedJSONField()  # routing.decide.trace.Record, read as a Trace
    fidelity = models.JSONField(null=True, blank=True)  # routing.language.fidelity.Fidelity of what answered
    # Against the requested JSON form; NULL: none requested, or not checked.
    output_valid = models.BooleanField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status="open", settled_at__isnull=True) | Q(settled_at__isnull=False),
                name="request_settled_has_time",
            ),
            models.CheckConstraint(
                condition=Q(cost_usd__isnull=True) | Q(cost_usd__gte=0), name="request_cost_not_negative"
            ),
            models.CheckConstraint(  # a settled request has a cost or is unpriced
                condition=Q(status="open") | Q(unpriced=True) | Q(cost_usd__isnull=False),
                name="request_priced_or_unpriced",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-created_at", "-id"], name="request_by_account"),
            models.Index(fields=["key", "-created_at"], name="request_by_key"),
            models.Index(fields=["lease_until"], name="request_open", condition=Q(status="open")),
            models.Index(fields=["owner"], name="request_open_by_owner", condition=Q(status="open")),
            models.Index(fields=["created_at"], name="request_by_time"),
            models.Index(fields=["created_at"], name="request_unpriced", condition=Q(unpriced=True)),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.status}"


class Attempt(PricedUsageColumns):
    """One upstream call of a request, numbered from 1."""

    class Outcome(models.TextChoices):
        OK = "ok"
        FAILED = "failed"
        ABORTED = "aborted"
        PARTIAL = "partial"

    request = models.ForeignKey(
        Request, on_delete=models.CASCADE, related_name="attempts", db_index=False
    )  # `attempt_number_once` serves look-ups
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
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)  # NULL: unpriced
    charged = models.BooleanField(default=False)  # its tokens reached the caller: part of the request's cost
    unit_prices = models.JSONField(null=True, blank=True)  # frozen, USD per million tokens
    price_version = models.CharField(max_length=64, blank=True)
    provider_request_id = models.CharField(max_length=160, blank=True)
    usage_issue = models.CharField(max_length=16, blank=True, default="", db_default="")
    # The most that its provider can plausibly report: what was sent, and what was allowed. NULL: older row.
    most_input_tokens = models.PositiveBigIntegerField(null=True, blank=True)
    most_output_tokens = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "number"], name="attempt_number_once")
        ]
        indexes: ClassVar = [models.Index(fields=["model", "-started_at"], name="attempt_by_model")]

    def __str__(self) -> str:
        return f"{self.request_id} #{self.number} {self.model} {self.outcome}"


class Window(models.Model):
    """Spent and held amounts of one account or key in one day or month.

    Created by the first request of the period. Its sums equal the ledger's together with those of its shares,
    which the transactions that open and settle requests change (billing/ledger/windows.py).
    """

    class Scope(models.TextChoices):
        ACCOUNT = "account"
        KEY = "key"

    class Period(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    scope = models.CharField(max_length=8, choices=Scope.choices)
    scope_id = models.BigIntegerField()
    period = models.CharField(max_length=8, choices=Period.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()  # exclusive
    time_zone = models.CharField(max_length=64, default="UTC")
    requests = models.PositiveBigIntegerField(default=0)
    spent_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    held_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    spent_tokens = models.PositiveBigIntegerField(default=0)
    held_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scope", "scope_id", "period", "starts_at"], name="window_once"),
            models.CheckConstraint(condition=Q(held_usd__gte=0), name="window_holds_no_less_than_nothing"),
        ]
        indexes: ClassVar = [models.Index(fields=["ends_at"], name="window_by_end")]  # finds current windows

    def __str__(self) -> str:
        return f"{self.scope} {self.scope_id}, {self.period} from {self.starts_at:%Y-%m-%d}"


class WindowShare(models.Model):
    """Amounts that one web process has added to a window since they were last moved into it.

    A process changes only its own rows, so processes never wait for each other. Any sum may be negative: a
    hold that was moved into the window is released here.
    """

    window = models.ForeignKey(
        Window, on_delete=models.CASCADE, related_name="shares", db_index=False
    )  # `window_share_once` serves look-ups
    owner = models.CharField(max_length=32, blank=True)  # the WebProcess
    requests = models.BigIntegerField(default=0)
    spent_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    held_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    spent_tokens = models.BigIntegerField(default=0)
    held_tokens = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["window", "owner"], name="window_share_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["owner"], name="window_share_by_owner")]

    def __str__(self) -> str:
        return f"{self.owner} of window {self.window_id}"


class WebProcess(models.Model):
    """A web process and its last heartbeat: the owner of open requests and their holds."""

    id = models.CharField(primary_key=True, max_length=32)
    host = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # by the database's clock
    ahead_s = models.FloatField(default=0.0)  # its own clock minus the database's
    missed_at = models.DateTimeField(null=True, blank=True)  # when the sweeper first found it silent

    def __str__(self) -> str:
        return f"{self.host} {self.pid}"


class IdempotentOutcome(models.Model):
    """The outcome of a request with an Idempotency-Key, stored for a day to be replayed."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of path, steering headers and body
    request_id = models.CharField(max_length=40)
    owner = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField()  # after that an unfinished claim may be taken over
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)  # HTTP; NULL: still running
    headers = models.JSONField(null=True, blank=True)
    body = models.BinaryField(null=True, blank=True)  # compressed, then encrypted

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "key"], name="idempotency_key_once")
        ]

    def __str__(self) -> str:
        return f"{self.key} of account {self.account_id}"


class PriceProposal(models.Model):
    """A change of the price list that is too doubtful to apply automatically; waits for an operator."""

    class Kind(models.TextChoices):
        MOVED = "moved"  # by more than a fifth
        VANISHED = "vanished"  # no longer listed
        UNPRICED = "unpriced"  # requested, and no price is known

    class Decision(models.TextChoices):
        ACCEPTED = "accepted"
        REJECTED = "rejected"

    model = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    current = models.JSONField(null=True, blank=True)  # tiers: [[over_input_tokens, {token class: USD/Mtok}]]
    proposed = models.JSONField(null=True, blank=True)
    effective_from = models.DateTimeField(null=True, blank=True)  # as listed; NULL: from now on
    source = models.CharField(max_length=120)
    seen_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL)
    decision = models.CharField(max_length=12, choices=Decision.choices, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["model", "kind"], condition=Q(decided_at=None), name="proposal_pending_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.kind}"


class Repricing(models.Model):
    """A batch that gave settled requests other prices: by whom, why, and its totals. It can be undone."""

    reason = models.CharField(max_length=200)
    model = models.CharField(max_length=120)
    since = models.DateTimeField()
    until = models.DateTimeField()
    requests = models.PositiveIntegerField(default=0)
    usd_before = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    usd_after = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    made_by = models.CharField(max_length=120)
    made_at = models.DateTimeField()
    undone_by = models.CharField(max_length=120, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.model}, {self.requests} requests: {self.reason}"


class RepricedAttempt(models.Model):
    """One charged attempt of a re-pricing, with its former price, to undo the batch."""

    batch = models.ForeignKey(Repricing, on_delete=models.CASCADE, related_name="attempts")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="+")
    before_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    before_unit_prices = models.JSONField(null=True, blank=True)
    before_version = models.CharField(max_length=64, blank=True)
    after_usd = models.DecimalField(max_digits=18, decimal_places=9)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "attempt"], name="repriced_once_a_batch")
        ]

    def __str__(self) -> str:
        return f"{self.attempt_id} in {self.batch_id}"


class RepricedRequest(models.Model):
    """One request of a re-pricing, with the former values of its price columns."""

    batch = models.ForeignKey(Repricing, on_delete=models.CASCADE, related_name="repriced_requests")
    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="+")
    before_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    before_held_usd = models.DecimalField(max_digits=18, decimal_places=9, default=0)
    before_unit_prices = models.JSONField(null=True, blank=True)
    before_version = models.CharField(max_length=64, blank=True)
    after_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True, blank=True)
    undone = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "request"], name="request_repriced_once_a_batch")
        ]

    def __str__(self) -> str:
        return f"{self.request_id} in {self.batch_id}"


class LedgerAudit(models.Model):
    """The result of one audit of the ledger (billing/checks/audit.py)."""

    at = models.DateTimeField(db_index=True)
    since = models.DateTimeField(null=True, blank=True)  # NULL: the whole ledger
    took_ms = models.PositiveIntegerField()
    violations = models.PositiveIntegerField(default=0)
    result = models.JSONField()  # billing.checks.audit.Audit

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.violations} violations"
