"""Budget alerts at 50, 80 and 100 % of each limit: one alert for each threshold, window and limit."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Q

from accounts.caller_lookup import limits_in_force, own_limits
from accounts.models import Account, ApiKey
from billing.alerts.limit_status import LimitStatus, statuses_in
from billing.alerts.models import Alert
from billing.alerts.publish import raise_alert
from billing.ledger.windows import totals
from billing.models import Window

THRESHOLDS = (50, 80, 100)
# Holds keep spend below a cap: a rest too small for any answer stays unspent, so 99.5 % counts as all.
_ALL = Decimal("0.995")
_BATCH = 500
_SEVERITY = {50: "info", 80: "warning", 100: "critical"}


def raise_due(now: datetime) -> int:
    """Check every current window; returns how many alerts were raised."""
    _resolve_past(now)
    windows = Window.objects.filter(starts_at__lte=now, ends_at__gt=now).order_by("pk")
    raised, last = 0, 0
    while pks := list(windows.filter(pk__gt=last).values_list("pk", flat=True)[:_BATCH]):
        raised += _raise_for(list(totals(Window.objects.filter(pk__in=pks))))
        last = pks[-1]
    return raised


def _raise_for(windows: list[Window]) -> int:
    reached = [(*limit, _reached(limit[-1])) for limit in _limit_statuses(windows)]
    open_keys = _open_keys(_key(status, threshold) for _, _, status, _ in reached for threshold in THRESHOLDS)
    raised = 0
    for account, name, status, threshold in reached:
        alerted = [earlier for earlier in THRESHOLDS if _key(status, earlier) in open_keys]
        # Spend that jumps over two thresholds raises one alert, for the higher.
        if threshold and threshold > max(alerted, default=0):
            raised += _raise(account, name, status, threshold) is not None
    return raised


def _limit_statuses(windows: Iterable[Window]) -> Iterator[tuple[Account, str, LimitStatus]]:
    """Each limit on these windows, with its account and the name of the account or key it limits."""
    windows = list(windows)
    key_ids = {window.scope_id for window in windows if window.scope == Window.Scope.KEY}
    lineages = ApiKey.objects.filter(Q(pk__in=key_ids) | Q(origin_id__in=key_ids)).order_by("pk")
    keys = {key.lineage_id: key for key in lineages.select_related("account__plan")}  # the newest of each
    account_ids = {window.scope_id for window in windows if window.scope == Window.Scope.ACCOUNT}
    accounts = Account.objects.select_related("plan").in_bulk(account_ids)
    for window in windows:
        if window.scope == Window.Scope.KEY:
            key = keys.get(window.scope_id)
            if key is None:
                continue
            account, limits, name = key.account, own_limits(key), f"The key {key}"
        else:
            owner = accounts.get(window.scope_id)
            if owner is None:
                continue
            account, limits, name = owner, limits_in_force(owner), f"The account {owner.name}"
        # A window of a time zone that the account has left still counts spend, but no limit applies to it.
        if window.time_zone == account.time_zone:
            for status in statuses_in(window, limits):
                yield account, name, status


def _reached(status: LimitStatus) -> int:
    """The highest threshold that spend has reached, or 0. A limit of 0 never raises an alert."""
    share = status.spent_share if status.limit else Decimal(0)
    shares = {threshold: _ALL if threshold == 100 else Decimal(threshold) / 100 for threshold in THRESHOLDS}
    return max((threshold for threshold, needed in shares.items() if share >= needed), default=0)


def _key(status: LimitStatus, threshold: int) -> str:
    where = f"{status.scope}.{status.scope_id}.{status.period}.{status.starts_at:%Y%m%dT%H%MZ}"
    return f"budget.{where}.{status.unit}.{_plain(status.limit)}.{threshold}"


def _open_keys(keys: Iterable[str]) -> set[str]:
    alerts = Alert.objects.filter(once_key__in=list(keys), resolved_at=None)
    return set(alerts.values_list("once_key", flat=True))


def _raise(account: Account, name: str, status: LimitStatus, threshold: int) -> Alert | None:
    period = "today" if status.period == Window.Period.DAY else "this month"
    unit = "USD" if status.unit == "usd" else "tokens"
    spent, limit = map("{:,}".format if status.unit == "tokens" else _plain, (status.spent, status.limit))
    resets_at = status.ends_at.astimezone(ZoneInfo(account.time_zone))
    until = f"{resets_at:%Y-%m-%d %H:%M} ({account.time_zone})"
    consequence = (
        f"Requests are refused until the limit resets at {until}, or is raised."
        if threshold == 100
        else f"The limit resets at {until}."
    )
    return raise_alert(
        f"budget.{status.period}.{threshold}",
        f"{name} has spent {threshold} % of its {unit} {period}",
        f"{name} has spent {spent} of its {limit} {unit} {period}. {consequence}",
        account=account,
        severity=_SEVERITY[threshold],
        detail={
            "scope": status.scope,
            "scope_id": status.scope_id,
            "period": status.period,
            "unit": status.unit,
            "threshold": threshold,
            "limit": _plain(status.limit),
            "spent": _plain(status.spent),
            "held": _plain(status.held),
            "left": _plain(status.left),
            "resets_at": f"{status.ends_at:%Y-%m-%dT%H:%M:%SZ}",
        },
        once_key=_key(status, threshold),
    )


def _resolve_past(now: datetime) -> None:
    """Resolve the budget alerts of windows that have ended."""
    is_past = Q(detail__resets_at__lte=f"{now:%Y-%m-%dT%H:%M:%SZ}")
    Alert.objects.filter(is_past, kind__startswith="budget.", resolved_at=None).update(resolved_at=now)


def _plain(amount: Decimal | int) -> str:
    return str(amount) if isinstance(amount, int) else f"{amount.normalize():f}"
