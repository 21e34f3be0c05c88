"""What an account's answers were worth to it: fields and constraints; the verbs are in the modules beside."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey
from billing.models import Request

MAX_COMMENT = 2000  # characters


class Feedback(models.Model):
    """What one key, or the dashboard (`key` NULL), last said about one request."""

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
    """One sign of how well an arm did what one request asked, beside what had been expected of it."""

    class Source(models.TextChoices):
        FEEDBACK = "feedback"  # said by a person or a program
        FORM = "form"  # the answer has, or has not, the JSON form that was asked for
        REPEAT = "repeat"  # the caller asked the same again at once

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="outcomes")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="outcomes")
    key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="outcomes")
    source = models.CharField(max_length=12, choices=Source.choices)
    arm = models.CharField(max_length=140)
    model = models.CharField(max_length=120)
    skill = models.CharField(max_length=32)
    expected = models.FloatField()  # P(success) that was predicted, the account's own learning left out
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
    """How an account wants to be learnt from; an account without a row is learnt from."""

    class Mode(models.TextChoices):
        ON = "on"
        FROZEN = "frozen"  # what was learnt until then counts, nothing is added
        OFF = "off"  # signs are kept, and change nothing

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="learning")
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.ON)
    frozen = models.JSONField(default=dict)  # "arm|skill" → shift of P(success)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.account_id} {self.mode}"
