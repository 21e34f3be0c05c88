"""Table of stored prompts and answers."""

from typing import ClassVar

from django.db import models

from accounts.models import Account
from billing.models import Request


class StoredContent(models.Model):
    """The prompt and the answer of one request, for accounts with `log_content`.

    `body` is JSON, compressed and encrypted with core.encryption. Rows are written in the background.
    """

    request = models.OneToOneField(
        Request, primary_key=True, on_delete=models.CASCADE, related_name="content"
    )
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="contents")
    at = models.DateTimeField()
    body = models.BinaryField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "at"], name="content_by_account")]

    def __str__(self) -> str:
        return self.request_id
