"""Feedback on requests: fields and constraints; the verbs are in feedback.py."""

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
