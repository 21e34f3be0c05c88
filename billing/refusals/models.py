"""Table of refused calls."""

from typing import ClassVar

from django.db import models

from accounts.models import Account, ApiKey


class RefusedCall(models.Model):
    """A call with a known key, answered with a 4xx. Nothing was sent to a provider, nothing is charged.

    Equal calls within a second are one row with a count. Never the body of a call.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="refused_calls")
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="refused_calls")
    request_id = models.CharField(max_length=40)  # of the first call
    at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    door = models.CharField(max_length=16)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=120)
    status = models.PositiveSmallIntegerField()  # HTTP
    code = models.CharField(max_length=40)
    field = models.CharField(max_length=100, blank=True)
    message = models.CharField(max_length=300)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="refused_by_account"),
            models.Index(fields=["request_id"], name="refused_by_request"),
            models.Index(fields=["at"], name="refused_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} {self.status} {self.code}"
