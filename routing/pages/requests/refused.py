"""Refused calls in the request list: among the requests by time, and as a list of their own.

They are in a table of their own (billing.refusals) and few, so a page of requests shows the newest of those
that fall between its bounds, and says how many more there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account
from billing.models import Request
from billing.refusals import queries
from billing.refusals.models import RefusedCall
from routing.pages.requests.filters import Filters

MOST_BETWEEN = 20  # of a page of requests
_PAGE_ROWS = 50


@dataclass(frozen=True)
class Between:
    """Refused calls of a page, and how many more fall between its bounds."""

    rows: Sequence[RefusedCall] = ()
    more: int = 0
    newest: int = 0  # primary key of the newest that matches, if the page is the first; 0: no call


def between(
    account: Account, filters: Filters, now: datetime, after: datetime | None, until: datetime | None
) -> Between:
    """Those after the oldest and up to the newest moment of a page; None: no bound."""
    if not filters.may_be_refused:
        return Between()
    rows = filters.refused_calls(account.pk, now)
    if until is not None:
        rows = rows.filter(at__lte=until)
    newest = list(rows[: MOST_BETWEEN + 1])
    shown = [row for row in newest if after is None or row.at > after]
    more = 0
    if len(shown) > MOST_BETWEEN:
        more = (rows.filter(at__gt=after) if after is not None else rows).count() - MOST_BETWEEN
    return Between(shown[:MOST_BETWEEN], more, newest[0].pk if newest else 0)


def page(
    account: Account, filters: Filters, now: datetime, before: int | None
) -> tuple[Sequence[RefusedCall], int | None]:
    """A page of the list of refused calls alone, and where the next begins."""
    return queries.page(filters.refused_calls(account.pk, now), _PAGE_ROWS, before)


def newer(account: Account, filters: Filters, now: datetime, than: int) -> Sequence[RefusedCall]:
    """Those written since the one with the primary key `than`, newest first."""
    if not filters.may_be_refused:
        return ()
    return list(filters.refused_calls(account.pk, now).filter(pk__gt=than)[:MOST_BETWEEN])


def by_time(rows: Sequence[Request], refused: Sequence[RefusedCall]) -> list[Request | RefusedCall]:
    """Both in one list, newest first."""
    return sorted([*rows, *refused], key=_moment, reverse=True)


def _moment(row: Request | RefusedCall) -> datetime:
    return row.at if isinstance(row, RefusedCall) else row.created_at
