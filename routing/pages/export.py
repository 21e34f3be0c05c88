"""The request list as a file: every match of its filters, streamed in chunks."""

from collections.abc import AsyncIterator
from datetime import datetime

from asgiref.sync import sync_to_async

from accounts.models import Account
from billing.models import Request
from billing.reports.export import Format, chunks
from routing.pages.filters import Filters, annotated


async def exported(account: Account, filters: Filters, how: Format, now: datetime) -> AsyncIterator[bytes]:
    """Newest first; a chunk is in memory at a time. What arrives after `now` is left out, so that it ends."""
    rows = Request.objects.filter(account=account, created_at__lte=now)
    parts = chunks(annotated(filters.by_index(rows, now)).filter(filters.by_row), how)
    following = sync_to_async(lambda: next(parts, None))
    while (part := await following()) is not None:
        yield part
