"""Budget alerts: at 50, 80 and 100 % of each limit, once a threshold, window and limit (spec/ledger.md)."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from accounts.caller_lookup import limits_of
from accounts.models import Account, ApiKey
from billing.alerts.limit_status import Standing, limits_in_force, standings_in
from billing.alerts.models import Alert
from billing.alerts.publish import raise_alert
from billing.models import Window

THRESHOLDS = (50, 80, 100)
# Holds keep spend below a cap, so the last bit that no answer fits in stays unspent: this much counts as all.
_ALL = Decimal("0.995")
_BATCH = 500
_SEVERITY = {50: "info", 80: "warning", 100: "critical"}


def raise_due(now: datetime) -> int:
    """Look at every window that counts now; returns how many alerts were raised."""
    _close_past(now)
    windows = Window.objects.filter(starts_at__lte=now, ends_at__gt=now).filter(
        Q(spent_usd__gt=0) | Q(spent_tokens__gt=0)
    )
    raised, batch = 0, []
    for window in windows.order_by("pk").iterator(chunk_size=_BATCH):
        batch.append(window)
        if len(batch) == _BATCH:
            raised += _raise_for(batch)
            batch = []
    return raised + _raise_for(batch)


def _raise_for(windows: list[Window]) -> int:
    due = [(account, name, seen, _reached(seen)) for account, name, seen in _standings(windows)]
    known = _open_keys(_key(seen, threshold) for _, _, seen, _ in due for threshold in THRESHOLDS)
    raised = 0
    for account, name, seen, reached in due:
        told = [threshold for threshold in THRESHOLDS if _key(seen, threshold) in known]
        if reached and reached > max(told, default=0):  # a jump over two thresholds is one alert, the higher
            raised += _raise(account, name, seen, reached) is not None
    return raised


def _standings(windows: Iterable[Window]) -> Iterator[tuple[Account, str, Standing]]:
    """Each limit that these windows count for, with the account and what the limit is of."""
    windows = list(windows)
    key_ids = {window.scope_id for window in windows if window.scope == Window.Scope.KEY}
    keys = ApiKey.objects.select_related("account__plan").in_bulk(key_ids)
    account_ids = {window.scope_id for window in windows if window.scope == Window.Scope.ACCOUNT}
    accounts = Account.objects.select_related("plan").in_bulk(account_ids)
    for window in windows:
        if window.scope == Window.Scope.KEY:
            key = keys.get(window.scope_id)
            if key is None:
                continue
            account, limits, name = key.account, limits_of(key), f"The key {key}"
        else:
            found = accounts.get(window.scope_id)
            if found is None:
                continue
            account, limits, name = found, limits_in_force(found), f"The account {found.name}"
        if window.time_zone == account.time_zone:  # one that was left counts on, but limits no more
            for standing in standings_in(window, limits):
                yield account, name, standing


def _reached(seen: Standing) -> int:
    """The highest threshold that is passed, or 0."""
    share = seen.spent_share if seen.limit else Decimal(0)  # a limit of nothing is known from the start
    return max(
        (one for one in THRESHOLDS if share >= (_ALL if one == 100 else Decimal(one) / 100)), default=0
    )


def _key(seen: Standing, threshold: int) -> str:
    where = f"{seen.scope}.{seen.scope_id}.{seen.period}.{seen.starts_at:%Y%m%dT%H%MZ}"
    return f"budget.{where}.{seen.unit}.{_plain(seen.limit)}.{threshold}"


def _open_keys(keys: Iterable[str]) -> set[str]:
    found = Alert.objects.filter(once_key__in=list(keys), resolved_at=None)
    return set(found.values_list("once_key", flat=True))


def _raise(account: Account, name: str, seen: Standing, threshold: int) -> Alert | None:
    period = "today" if seen.period == Window.Period.DAY else "this month"
    unit = "USD" if seen.unit == "usd" else "tokens"
    spent, limit = f"{seen.spent:,}" if seen.unit == "tokens" else _plain(seen.spent), _plain(seen.limit)
    limit = f"{seen.limit:,}" if seen.unit == "tokens" else limit
    until = f"{seen.ends_at:%Y-%m-%d %H:%M} UTC"
    what_follows = (
        f"Requests are refused until the limit starts anew at {until}, or is raised."
        if threshold == 100
        else f"The limit starts anew at {until}."
    )
    return raise_alert(
        f"budget.{seen.period}.{threshold}",
        f"{name} has spent {threshold} % of its {unit} {period}",
        f"{name} has spent {spent} of its {limit} {unit} {period}. {what_follows}",
        account=account,
        severity=_SEVERITY[threshold],
        detail={
            "scope": seen.scope,
            "scope_id": seen.scope_id,
            "period": seen.period,
            "unit": seen.unit,
            "threshold": threshold,
            "limit": _plain(seen.limit),
            "spent": _plain(seen.spent),
            "held": _plain(seen.held),
            "left": _plain(seen.left),
            "resets_at": f"{seen.ends_at:%Y-%m-%dT%H:%M:%SZ}",
        },
        once_key=_key(seen, threshold),
    )


def _close_past(now: datetime) -> None:
    """Budget alerts of windows that are over."""
    is_past = Q(detail__resets_at__lte=f"{now:%Y-%m-%dT%H:%M:%SZ}")
    Alert.objects.filter(is_past, kind__startswith="budget.", resolved_at=None).update(resolved_at=now)


def _plain(amount: Decimal | int) -> str:
    return str(amount) if isinstance(amount, int) else f"{amount.normalize():f}"
