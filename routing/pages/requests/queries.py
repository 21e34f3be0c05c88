"""The request list's queries: a page, what is newer than a page, and every match as a file.

Bounded at any table size: a page reads at most SCAN_ROWS index entries of one account, never counts the
table and never skips rows. If a rare filter matches less than a page in that many rows, the page says so
and offers to continue.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from accounts.models import Account
from billing.models import Request
from billing.reports.export import Format, chunks
from billing.reports.sorting import Place, Sort, places, within_reach
from billing.usage_columns import INPUT_TOKENS
from routing.pages.requests.filters import Filters, annotated
from routing.pages.requests.paging import Cursor, newer_than, older_than

PAGE_ROWS = 50
SCAN_ROWS = 20_000  # rows a filter may test for one page: tens of milliseconds on either database
# A row is committed up to this much after its time (writers commit in groups), so the tail stays that far
# behind: whatever it has passed is complete.
TAIL_LAG = timedelta(seconds=1)
_AFTER_ANY_ID = "zzzz"

# All a row shows; not the trace, which is kilobytes.
_COLUMNS = (
    "id", "created_at", "status", "strategy", "mode", "streamed", "query_type", "requested_model",
    "routed_model", "routed_effort", "served_model", "served_effort", "provider", "fallback_used",
    "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "output_tokens", "reasoning_tokens", "usage_estimated", "cost_usd", "unpriced", "latency_ms", "ttft_ms",
    "error_code", "finish_reason", "key__id", "key__name", "key__last_four",
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """Rows newest first and the cursors around them. `cut_short`: SCAN_ROWS were tested, more remain.

    Sorted by something else, `older` and `newer` are the following and the preceding page, and `beyond` says
    that older requests were left out.
    """

    rows: Sequence[Request]
    older: Cursor | Place | None = None
    newer: Cursor | Place | None = None
    cut_short: bool = False
    beyond: bool = False


def first_page(account: Account, filters: Filters, now: datetime) -> Page:
    rows, older, cut_short = _take(account, filters, now, None)
    return Page(rows, older=older, cut_short=cut_short)


def page_older(account: Account, filters: Filters, cursor: Cursor, now: datetime) -> Page:
    rows, older, cut_short = _take(account, filters, now, cursor)
    return Page(rows, older=older, newer=_place(rows[0]) if rows else cursor, cut_short=cut_short)


def page_newer(account: Account, filters: Filters, cursor: Cursor, now: datetime) -> Page:
    """The page just above a row, or the newest page if there is less than a page above it."""
    rows = list(_matching(account, filters, now, newest_first=False, start=cursor)[: PAGE_ROWS + 1])
    if len(rows) <= PAGE_ROWS:
        return first_page(account, filters, now)
    rows = rows[:PAGE_ROWS][::-1]
    return Page(rows, older=_place(rows[-1]), newer=_place(rows[0]))


def sorted_page(
    account: Account, filters: Filters, sort: Sort, now: datetime, after: Place | None, before: Place | None
) -> Page:
    """The page of a sorted list that follows `after`, or precedes `before`, or is the first."""
    in_order = _in_order(account, filters, now, newest_first=True, start=None)
    within, beyond = within_reach(in_order, sort)
    matching = annotated(within).filter(filters.by_row)
    if before is not None:
        on_page = places(matching, sort, PAGE_ROWS + 1, before, backwards=True)
        if len(on_page) <= PAGE_ROWS:
            return sorted_page(account, filters, sort, now, None, None)
        return Page(_at(on_page[1:]), older=on_page[-1], newer=on_page[1], beyond=beyond)
    on_page = places(matching, sort, PAGE_ROWS + 1, after)
    shown = on_page[:PAGE_ROWS]
    following = shown[-1] if len(on_page) > PAGE_ROWS else None
    preceding = (shown[0] if shown else after) if after is not None else None
    return Page(_at(shown), older=following, newer=preceding, beyond=beyond)


def _at(on_page: Sequence[Place]) -> list[Request]:
    rows = {row.id: row for row in _shown(Request.objects.filter(id__in=[place.id for place in on_page]))}
    return [rows[place.id] for place in on_page if place.id in rows]


def tail(
    account: Account, filters: Filters, cursor: Cursor, known: Sequence[str], now: datetime
) -> tuple[Sequence[Request], Cursor] | None:
    """Rows after the cursor without the known ids, and the next cursor; None if there is more than a page."""
    end = now - TAIL_LAG
    rows = _matching(account, filters, now, newest_first=True, start=None, after=cursor, end=end)
    unseen = [row for row in rows[: PAGE_ROWS + 1 + len(known)] if row.id not in known]
    if len(unseen) > PAGE_ROWS:
        return None
    return unseen, max(cursor, Cursor(end, _AFTER_ANY_ID))


def tail_start(page: Page, now: datetime) -> tuple[Cursor, list[str]]:
    """The cursor at which the live tail above `page` begins, and the ids it need not show again."""
    start = now - TAIL_LAG
    return Cursor(start, _AFTER_ANY_ID), [row.id for row in page.rows if row.created_at > start]


def settled_since(account: Account, ids: Sequence[str]) -> Sequence[Request]:
    """The requests among `ids` that are no longer open."""
    printable = [request_id for request_id in ids if request_id.isprintable()]  # PostgreSQL rejects NUL
    rows = Request.objects.filter(account=account, id__in=printable[:PAGE_ROWS]).exclude(
        status=Request.Status.OPEN
    )
    return list(_shown(rows))


async def exported(
    account: Account, filters: Filters, file_format: Format, now: datetime
) -> AsyncIterator[bytes]:
    """Every match as a file, newest first, streamed with one chunk in memory at a time.

    Requests that arrive after `now` are left out, so that the export ends.
    """
    rows = Request.objects.filter(account=account, created_at__lte=now)
    parts = chunks(annotated(filters.by_index(rows, now)).filter(filters.by_row), file_format)
    next_part = sync_to_async(lambda: next(parts, None))
    while (part := await next_part()) is not None:
        yield part


def _take(
    account: Account, filters: Filters, now: datetime, cursor: Cursor | None
) -> tuple[list[Request], Cursor | None, bool]:
    """A page of rows older than the cursor, where the next begins, and whether testing stopped early."""
    matching = _matching(account, filters, now, newest_first=True, start=cursor)
    rows = list(matching[: PAGE_ROWS + 1])
    if len(rows) > PAGE_ROWS:
        return rows[:PAGE_ROWS], _place(rows[PAGE_ROWS - 1]), False
    untested = _untested(account, filters, now, cursor) if filters.by_row else None
    return rows, untested, untested is not None


def _matching(
    account: Account,
    filters: Filters,
    now: datetime,
    *,
    newest_first: bool,
    start: Cursor | None,
    after: Cursor | None = None,
    end: datetime | None = None,
) -> QuerySet[Request]:
    """Matches beyond `start` in the order asked for, among at most SCAN_ROWS rows where rows must be tested.

    `after` and `end` bound them from below (exclusive) and above (inclusive), whatever the order.
    """
    order = ("-created_at", "-id") if newest_first else ("created_at", "id")
    rows = _in_order(account, filters, now, newest_first=newest_first, start=start)
    if after is not None:
        rows = rows.filter(newer_than(after))
    if end is not None:
        rows = rows.filter(created_at__lte=end)
    if filters.by_row:
        tested = Request.objects.filter(id__in=rows.values("id")[:SCAN_ROWS])
        rows = annotated(tested).filter(filters.by_row).order_by(*order)
    return _shown(rows)


def _shown(rows: QuerySet[Request]) -> QuerySet[Request]:
    return rows.select_related("key").only(*_COLUMNS).annotate(input_tokens=INPUT_TOKENS)


def _in_order(
    account: Account, filters: Filters, now: datetime, *, newest_first: bool, start: Cursor | None
) -> QuerySet[Request]:
    rows = filters.by_index(Request.objects.filter(account=account), now)
    if start is not None:
        rows = rows.filter(older_than(start) if newest_first else newer_than(start))
    return rows.order_by(*(("-created_at", "-id") if newest_first else ("created_at", "id")))


def _untested(account: Account, filters: Filters, now: datetime, cursor: Cursor | None) -> Cursor | None:
    """The place of the last row tested, if there are rows beyond it."""
    rows = _in_order(account, filters, now, newest_first=True, start=cursor)
    tested = Request.objects.filter(id__in=rows.values("id")[:SCAN_ROWS])
    oldest = tested.order_by("created_at", "id").values_list("created_at", "id").first()
    if oldest is None:
        return None
    beyond = _in_order(account, filters, now, newest_first=True, start=Cursor(*oldest))
    return Cursor(*oldest) if beyond.exists() else None


def _place(row: Request) -> Cursor:
    return Cursor(row.created_at, row.id)
