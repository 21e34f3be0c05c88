"""Tables of the assistant's own account and of support messages: fields and constraints only."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, ApiKey, User

MOST_QUESTION = 500  # characters
MOST_MESSAGE = 4000


class House(models.Model):
    """The account that pays for the assistant's requests, and its key, whose secret was not kept. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="+")
    key = models.OneToOneField(ApiKey, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="assistant_house_once")]

    def __str__(self) -> str:
        return str(self.account)


class SupportMessage(models.Model):
    """A message to the operators; open until one closes it. `account` and `sender`: of a signed-in person."""

    account = models.ForeignKey(Account, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    sender = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    email = models.EmailField()
    question = models.CharField(max_length=MOST_QUESTION, blank=True)  # that the assistant could not answer
    message = models.TextField(max_length=MOST_MESSAGE)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["closed_at", "-created_at"], name="support_open_first")]

    def __str__(self) -> str:
        return f"{self.email}, {self.created_at:%Y-%m-%d}"
