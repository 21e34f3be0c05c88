"""Tables of feedback, outcomes and learning modes: fields and constraints only."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey
from billing.models import Request

MAX_COMMENT = 2000  # characters


class Feedback(models.Model):
    """The latest feedback on one request by one key, or from the dashboard (`key` NULL)."""

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="feedback")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="feedback")
    key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="feedback")
    score = models.FloatField()  # 0: useless, 1: right
    comment = models.CharField(max_length=MAX_COMMENT, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "key"], name="feedback_once_a_key"),
            models.UniqueConstraint(
                fields=["request"], condition=Q(key__isnull=True), name="feedback_once_by_dashboard"
            ),
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=1), name="feedback_score_is_share"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.score:g}"


class Outcome(models.Model):
    """A sign of how well an arm answered one request, with the success that was predicted."""

    class Source(models.TextChoices):
        FEEDBACK = "feedback"  # sent by a person or a program
        FORM = "form"  # whether the answer matches the requested JSON form
        REPEAT = "repeat"  # the caller sent the same prompt again at once

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="outcomes")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="outcomes")
    key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="outcomes")
    source = models.CharField(max_length=12, choices=Source.choices)
    arm = models.CharField(max_length=140)
    model = models.CharField(max_length=120)
    skill = models.CharField(max_length=32)
    expected = models.FloatField()  # predicted P(success), without the account's own learning
    score = models.FloatField()  # 0 to 1
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "source", "key"], name="outcome_once_a_key"),
            models.UniqueConstraint(
                fields=["request", "source"], condition=Q(key__isnull=True), name="outcome_once"
            ),
            models.CheckConstraint(
                condition=Q(score__gte=0, score__lte=1, expected__gte=0, expected__lte=1),
                name="outcome_is_a_share",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["account", "-at"], name="outcome_by_account")]

    def __str__(self) -> str:
        return f"{self.request_id} {self.source} {self.score}"


class Learning(models.Model):
    """An account's learning mode; an account without a row has learning on."""

    class Mode(models.TextChoices):
        ON = "on"
        FROZEN = "frozen"  # shifts from the moment of freezing count; newer outcomes do not
        OFF = "off"  # outcomes are stored but change nothing

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="learning")
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.ON)
    frozen = models.JSONField(default=dict)  # "arm|skill" → shift of P(success)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.account_id} {self.mode}"
