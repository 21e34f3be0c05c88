"""Keyset cursors in a list ordered newest first: stable while rows arrive, equally fast on every page."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from django.db.models import Q

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TEXT = 80


class Cursor(NamedTuple):
    """The place of one row. Written in URLs as microseconds since 1970, a dot, the row's id."""

    created_at: datetime
    id: str

    def __str__(self) -> str:
        return f"{(self.created_at - _EPOCH) // timedelta(microseconds=1)}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor, or None for an invalid text: a broken link shows the first page."""
        microseconds, dot, row_id = text[:_MAX_TEXT].partition(".")
        if not (dot and microseconds.isascii() and microseconds.isdigit() and row_id.isprintable()):
            return None
        try:
            return cls(_EPOCH + timedelta(microseconds=int(microseconds)), row_id)
        except OverflowError:
            return None


# The first condition of each is implied by the second, but it is the one an index range can start from.


def older_than(cursor: Cursor) -> Q:
    return Q(created_at__lte=cursor.created_at) & (Q(created_at__lt=cursor.created_at) | Q(id__lt=cursor.id))


def newer_than(cursor: Cursor) -> Q:
    return Q(created_at__gte=cursor.created_at) & (Q(created_at__gt=cursor.created_at) | Q(id__gt=cursor.id))
