"""Windows of money: what an account and a key have spent and hold in a day and a month.

The first request of a period creates its windows. They change in the transaction that opens or settles a
request, under a row lock, so their sums always equal the ledger's (docs/ledger.md). To avoid deadlocks, every
writer locks all the windows it needs in one query, in the order of their primary keys, before it touches
requests.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
from django.db.models import Count, Q, Sum

from billing.models import Request, Window
from billing.usage_columns import TOKENS

ZERO = Decimal(0)


class Payer(msgspec.Struct, frozen=True):
    """The account and key whose windows a request counts in, and the time zone in which their days begin."""

    account_id: int
    key_id: int
    time_zone: str = "UTC"

    @property
    def scopes(self) -> tuple[tuple[str, int], ...]:
        return ("account", self.account_id), ("key", self.key_id)


class Span(msgspec.Struct, frozen=True):
    """A period of time: from `starts_at` until before `ends_at`."""

    period: str
    starts_at: datetime
    ends_at: datetime


class Change(msgspec.Struct, frozen=True):
    """Amounts to add to every window of a payer that contains `moment`; USD and tokens, may be negative."""

    payer: Payer
    moment: datetime
    requests: int = 0
    spent_usd: Decimal = ZERO
    held_usd: Decimal = ZERO
    spent_tokens: int = 0
    held_tokens: int = 0


def spans(moment: datetime, time_zone: str) -> tuple[Span, Span]:
    """The day and the month of a moment in that time zone, with their limits in UTC."""
    local = moment.astimezone(ZoneInfo(time_zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    first = midnight.replace(day=1)
    tomorrow = (midnight + timedelta(days=1)).replace(
        fold=0
    )  # the wall clock's: 23 or 25 hours away when clocks change
    next_first = (first + timedelta(days=32)).replace(day=1, fold=0)
    return (
        Span(Window.Period.DAY, midnight.astimezone(UTC), tomorrow.astimezone(UTC)),
        Span(Window.Period.MONTH, first.astimezone(UTC), next_first.astimezone(UTC)),
    )


def current(scope: str, pk: int, period: str, now: datetime, time_zone: str) -> Window:
    """The current window of an account or key; without a row, an unsaved one with the ledger's sums."""
    span = next(span for span in spans(now, time_zone) if span.period == period)
    stored = Window.objects.filter(scope=scope, scope_id=pk, period=period, starts_at=span.starts_at).first()
    return stored or _with_sums(_window(scope, pk, span, time_zone))


class LockedWindows:
    """The windows of some payers at some moments, locked until the transaction ends. `apply`, then `save`."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self._by_scope: dict[tuple[str, int], list[Window]] = {}
        self._changed: dict[int, Window] = {}
        for window in windows:
            self._by_scope.setdefault((window.scope, window.scope_id), []).append(window)

    def of(self, payer: Payer, moment: datetime) -> Iterator[Window]:
        for scope in payer.scopes:
            for window in self._by_scope.get(scope, ()):
                if window.starts_at <= moment < window.ends_at:
                    yield window

    def apply(self, change: Change) -> None:
        for window in self.of(change.payer, change.moment):
            window.requests += change.requests
            window.spent_usd += change.spent_usd
            window.held_usd += change.held_usd
            window.spent_tokens += change.spent_tokens
            window.held_tokens += change.held_tokens
            self._changed[window.pk] = window

    def save(self) -> None:
        for pk, window in self._changed.items():
            Window.objects.filter(pk=pk).update(
                requests=window.requests,
                spent_usd=window.spent_usd,
                held_usd=window.held_usd,
                spent_tokens=window.spent_tokens,
                held_tokens=window.held_tokens,
            )
        self._changed.clear()


def lock(
    moments: Iterable[tuple[Payer, datetime]], *, new: Iterable[tuple[Payer, datetime]] = ()
) -> LockedWindows:
    """Lock every window that contains one of these moments; missing windows of `new` requests are created.

    Call it inside a transaction, once, before any other row is locked: the order is windows by primary key,
    then requests. The filter covers the range from the earliest to the latest moment, so it may lock a window
    that contains none of them; `LockedWindows.of` picks the right ones. Windows of time zones that the
    account has left are locked and changed too, as long as they contain the moment: their sums are audited
    like all others.
    """
    new = list(new)
    all_moments = [*moments, *new]
    if not all_moments:
        return LockedWindows(())
    if new:
        _create_missing(new)
    scopes = {scope for payer, _ in all_moments for scope in payer.scopes}
    times = [moment for _, moment in all_moments]
    windows = Window.objects.select_for_update().filter(
        _of_scopes(scopes), starts_at__lte=max(times), ends_at__gt=min(times)
    )
    return LockedWindows(windows.order_by("pk"))


def _of_scopes(scopes: Iterable[tuple[str, int]]) -> Q:
    accounts = [pk for scope, pk in scopes if scope == "account"]
    keys = [pk for scope, pk in scopes if scope == "key"]
    return Q(scope="account", scope_id__in=accounts) | Q(scope="key", scope_id__in=keys)


def _create_missing(moments: list[tuple[Payer, datetime]]) -> None:
    missing: dict[tuple[str, int, str, datetime], Window] = {}
    for payer, moment in moments:
        for span in spans(moment, payer.time_zone):
            for scope, pk in payer.scopes:
                window = _window(scope, pk, span, payer.time_zone)
                missing.setdefault((scope, pk, span.period, span.starts_at), window)
    scopes = {(scope, pk) for scope, pk, _, _ in missing}
    starts = {start for _, _, _, start in missing}
    known = Window.objects.filter(_of_scopes(scopes), starts_at__in=starts)
    for key in known.values_list("scope", "scope_id", "period", "starts_at"):
        missing.pop(key, None)
    # If another process is inserting the same window, this insert waits for its commit and then does nothing.
    # Sorted, so that two processes never wait for each other.
    for _, window in sorted(missing.items(), key=lambda entry: entry[0]):
        Window.objects.bulk_create([_with_sums(window)], ignore_conflicts=True)


def _window(scope: str, pk: int, span: Span, time_zone: str) -> Window:
    return Window(
        scope=scope,
        scope_id=pk,
        period=span.period,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        time_zone=time_zone,
    )


def _with_sums(window: Window) -> Window:
    """Set a new window's sums to those of the ledger for its span: it may be created late."""
    rows = Request.objects.filter(
        **{f"{window.scope}_id": window.scope_id},
        created_at__gte=window.starts_at,
        created_at__lt=window.ends_at,
    )
    sums = rows.aggregate(
        requests=Count("pk"),
        spent_usd=Sum("cost_usd"),
        spent_tokens=Sum(TOKENS),
        held_usd=Sum("held_usd"),
        held_tokens=Sum("held_tokens"),
    )
    for name, value in sums.items():
        setattr(window, name, value or 0)
    return window
