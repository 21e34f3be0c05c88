"""Forgets what has ended: sessions, and what the cache in the database remembered for a while."""

from datetime import datetime

from django.contrib.sessions.models import Session

from accounts.models import Remembered
from core.database import delete_in_batches


def forget_ended(now: datetime) -> int:
    """Returns how many rows went."""
    sessions = Session.objects.filter(expire_date__lt=now)
    remembered = Remembered.objects.filter(expires__lt=now)
    return delete_in_batches(sessions) + delete_in_batches(remembered)
