"""Spent, held and left of each limit of an account and its keys, and when the limits reset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from accounts.caller import Limits
from accounts.caller_lookup import limits_in_force, own_limits
from accounts.models import Account, ApiKey
from billing.ledger.windows import spans, totals
from billing.models import Window

Amount = Decimal | int


@dataclass(frozen=True)
class LimitStatus:
    """One limit of USD or tokens and what is used of it. `unit`: usd or tokens, of all amounts."""

    scope: str  # account or key
    scope_id: int
    period: str  # day or month
    unit: str
    limit: Amount
    spent: Amount
    held: Amount
    starts_at: datetime
    ends_at: datetime

    @property
    def left(self) -> Amount:
        return max(self.limit - self.spent - self.held, type(self.limit)(0))

    @property
    def spent_share(self) -> Decimal:
        return _share(self.spent, self.limit)

    @property
    def held_share(self) -> Decimal:
        return _share(self.held, self.limit)


def limit_statuses(
    account: Account, keys: Iterable[ApiKey], now: datetime
) -> dict[tuple[str, int], list[LimitStatus]]:
    """By (scope, id), day before month and USD before tokens; empty for scopes without such limits."""
    limits: dict[tuple[str, int], Limits] = {("account", account.pk): limits_in_force(account)}
    lineages = {("account", account.pk): account.pk} | {("key", key.pk): key.lineage_id for key in keys}
    limits |= {("key", key.pk): own_limits(key) for key in keys}
    windows = Window.objects.filter(
        Q(scope="account", scope_id=account.pk) | Q(scope="key", scope_id__in=set(lineages.values())),
        starts_at__lte=now,
        ends_at__gt=now,
        time_zone=account.time_zone,
    )
    by_scope = {(window.scope, window.scope_id, window.period): window for window in totals(windows)}
    return {
        (scope, pk): [
            status
            for span in spans(now, account.time_zone)
            for status in statuses_in(
                by_scope.get((scope, lineages[scope, pk], span.period))
                or Window(
                    scope=scope,
                    scope_id=lineages[scope, pk],
                    period=span.period,
                    starts_at=span.starts_at,
                    ends_at=span.ends_at,
                ),
                ceilings,
            )
        ]
        for (scope, pk), ceilings in limits.items()
    }


def statuses_in(window: Window, limits: Limits) -> Sequence[LimitStatus]:
    """The limits that apply to this window."""
    if window.period == Window.Period.DAY:
        usd, tokens = limits.daily_usd, limits.daily_tokens
    else:
        usd, tokens = limits.monthly_usd, limits.monthly_tokens
    statuses = []
    for unit, limit, spent, held in (
        ("usd", usd, Decimal(window.spent_usd), Decimal(window.held_usd)),
        ("tokens", tokens, window.spent_tokens, window.held_tokens),
    ):
        if limit is not None:
            statuses.append(
                LimitStatus(
                    window.scope,
                    window.scope_id,
                    window.period,
                    unit,
                    limit,
                    spent,
                    held,
                    window.starts_at,
                    window.ends_at,
                )
            )
    return statuses


def _share(part: Amount, whole: Amount) -> Decimal:
    """A fraction of 1; 1 when `whole` is 0, because a limit of 0 is used up."""
    return Decimal(part) / Decimal(whole) if whole else Decimal(1)
