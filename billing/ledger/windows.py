"""Windows of money: what an account and a key have spent and hold in a day and a month.

The first request of a period creates its windows. What a web process opens and settles is added, in the same
transaction, to the process's own share of each window, so processes don't wait for each other. A window and
its shares together always equal the ledger's sums (docs/ledger.md). To change a window itself, lock it, and
its shares are moved into it. To avoid deadlocks, locks are taken in this order: windows by primary key,
requests, shares by window and owner.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import ApiKey
from billing.models import Request, Window, WindowShare
from billing.reports.measures import nano_sum, usd
from billing.usage_columns import TOKENS

ZERO = Decimal(0)
AMOUNTS = ("requests", "spent_usd", "held_usd", "spent_tokens", "held_tokens")
_MOVED = 500  # windows a transaction


class Payer(msgspec.Struct, frozen=True):
    """The account and key whose windows a request counts in, and the time zone in which their days begin.

    `lineage_id`: of the key; a key and those that replaced it share their windows.
    """

    account_id: int
    lineage_id: int
    time_zone: str = "UTC"

    @property
    def scopes(self) -> tuple[tuple[str, int], ...]:
        return ("account", self.account_id), ("key", self.lineage_id)


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


def of_scope(scope: str, pk: int) -> QuerySet[Request]:
    """The requests of an account, or of a key's lineage."""
    if scope == Window.Scope.KEY:
        keys = ApiKey.objects.filter(Q(pk=pk) | Q(origin_id=pk)).values("pk")
        return Request.objects.filter(key_id__in=keys)
    return Request.objects.filter(account_id=pk)


def of_scopes(scopes: Iterable[tuple[str, int]]) -> Q:
    """The windows of these accounts and keys."""
    accounts = [pk for scope, pk in scopes if scope == "account"]
    keys = [pk for scope, pk in scopes if scope == "key"]
    return Q(scope="account", scope_id__in=accounts) | Q(scope="key", scope_id__in=keys)


def totals(windows: QuerySet[Window]) -> Iterator[Window]:
    """The windows with their shares added, unsaved: for reading. One query sees all amounts at one moment."""
    summed = windows.annotate(
        shares_requests=Sum("shares__requests", default=0),
        shares_spent_nano=nano_sum("shares__spent_usd"),
        shares_held_nano=nano_sum("shares__held_usd"),
        shares_spent_tokens=Sum("shares__spent_tokens", default=0),
        shares_held_tokens=Sum("shares__held_tokens", default=0),
    )
    for window in summed:
        window.requests += window.shares_requests
        window.spent_usd += usd(window.shares_spent_nano)
        window.held_usd += usd(window.shares_held_nano)
        window.spent_tokens += window.shares_spent_tokens
        window.held_tokens += window.shares_held_tokens
        yield window


def current(scope: str, pk: int, period: str, now: datetime, time_zone: str) -> Window:
    """The current window of an account or key; without a row, an unsaved one with the ledger's sums."""
    span = next(span for span in spans(now, time_zone) if span.period == period)
    stored = Window.objects.filter(scope=scope, scope_id=pk, period=period, starts_at=span.starts_at)
    return next(totals(stored), None) or _with_sums(_window(scope, pk, span, time_zone))


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
        """Write the changed windows, with all of their shares moved into them."""
        _take_in(self._changed, WindowShare.objects.filter(window_id__in=self._changed))
        self._changed.clear()


def lock(moments: Iterable[tuple[Payer, datetime]]) -> LockedWindows:
    """Lock every window that contains one of these moments, to change it.

    Call it inside a transaction, once. The filter covers the range from the earliest to the latest moment, so
    it may lock a window that contains none of them; `LockedWindows.of` picks the right ones. Windows of time
    zones that the account has left are locked and changed too, as long as they contain the moment: their sums
    are audited like all others.
    """
    return LockedWindows(_locked(moments))


def move_shares(owners: Iterable[str]) -> None:
    """Move what these processes have added to windows into the windows. Idempotent."""
    _move(WindowShare.objects.filter(owner__in=list(owners)))


def move_ended_shares(now: datetime) -> None:
    """Move the shares of windows that ended more than a day ago into them, so that they don't pile up."""
    _move(WindowShare.objects.filter(window__ends_at__lt=now - timedelta(days=1)))


def ensure(moments: Iterable[tuple[Payer, datetime]]) -> None:
    """Create the windows of these moments that are missing; call it outside a transaction that locks windows.

    A window that is created while its period has requests, because its account moved to another time zone,
    starts with their sums. Commits of other processes are kept out meanwhile: one of them might count in
    neither the sums nor the new window.
    """
    with transaction.atomic():
        missing = [_with_sums(window) for window in _missing(moments)]
        if connection.vendor == "postgresql" and any(window.requests for window in missing):
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE billing_windowshare IN SHARE MODE")
            missing = [_with_sums(window) for window in missing]
        # If another process is inserting the same window, this waits for its commit and then does nothing.
        Window.objects.bulk_create(missing, ignore_conflicts=True)


def _locked(moments: Iterable[tuple[Payer, datetime]]) -> list[Window]:
    moments = list(moments)
    if not moments:
        return []
    scopes = {scope for payer, _ in moments for scope in payer.scopes}
    times = [moment for _, moment in moments]
    windows = Window.objects.select_for_update(no_key=True).filter(
        of_scopes(scopes), starts_at__lte=max(times), ends_at__gt=min(times)
    )
    return list(windows.order_by("pk"))


def _move(shares: QuerySet[WindowShare]) -> None:
    """Move shares into their windows, some windows a transaction."""
    while True:
        with transaction.atomic():
            pks = set(shares.order_by("window_id").values_list("window_id", flat=True)[:_MOVED])
            if not pks:
                return
            windows = Window.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk")
            _take_in({window.pk: window for window in windows}, shares.filter(window_id__in=pks))


def _take_in(windows: Mapping[int, Window], shares: QuerySet[WindowShare]) -> None:
    """Add these shares to their windows, which are locked, write the windows and delete the shares."""
    taken = list(shares.order_by("window_id", "owner").select_for_update(of=("self",)))
    for share in taken:
        window = windows[share.window_id]
        for name in AMOUNTS:
            setattr(window, name, getattr(window, name) + getattr(share, name))
    WindowShare.objects.filter(pk__in=[share.pk for share in taken]).delete()
    for pk, window in windows.items():
        Window.objects.filter(pk=pk).update(**{name: getattr(window, name) for name in AMOUNTS})


def _missing(moments: Iterable[tuple[Payer, datetime]]) -> list[Window]:
    """Sorted, so that two processes that insert the same windows never wait for each other."""
    missing: dict[tuple[str, int, str, datetime], Window] = {}
    for payer, moment in moments:
        for span in spans(moment, payer.time_zone):
            for scope, pk in payer.scopes:
                window = _window(scope, pk, span, payer.time_zone)
                missing.setdefault((scope, pk, span.period, span.starts_at), window)
    scopes = {(scope, pk) for scope, pk, _, _ in missing}
    starts = {start for _, _, _, start in missing}
    known = Window.objects.filter(of_scopes(scopes), starts_at__in=starts)
    for key in known.values_list("scope", "scope_id", "period", "starts_at"):
        missing.pop(key, None)
    return [window for _, window in sorted(missing.items(), key=lambda entry: entry[0])]


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
    rows = of_scope(window.scope, window.scope_id)
    rows = rows.filter(created_at__gte=window.starts_at, created_at__lt=window.ends_at)
    sums = rows.aggregate(
        requests=Count("pk"),
        spent_nano=nano_sum("cost_usd"),
        spent_tokens=Sum(TOKENS, default=0),
        held_nano=nano_sum("held_usd"),
        held_tokens=Sum("held_tokens", default=0),
    )
    window.requests = sums["requests"]
    window.spent_usd, window.held_usd = usd(sums["spent_nano"]), usd(sums["held_nano"])
    window.spent_tokens, window.held_tokens = sums["spent_tokens"], sums["held_tokens"]
    return window
