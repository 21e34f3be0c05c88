"""Tables of a person's settings of the request list: saved views, and the columns."""

from typing import ClassVar

from django.db import models

from accounts.models import Account, User

MOST_NAME = 60  # characters
MOST_QUERY = 2000


class SavedView(models.Model):
    """A named filter, sort and choice of columns; of one person in one account."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=MOST_NAME)
    query = models.CharField(
        max_length=MOST_QUERY, blank=True
    )  # of the list's URL, without its view and page
    columns = models.JSONField()  # names of columns.COLUMNS
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "user", "name"], name="saved_view_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class ChosenColumns(models.Model):
    """The columns that a person sees in every account, unless a saved view has its own."""

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="+")
    columns = models.JSONField()

    def __str__(self) -> str:
        return f"columns of {self.user_id}"
