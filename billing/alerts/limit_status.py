"""Where an account and its keys stand against their limits: spent, held and left, until when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q
from msgspec.structs import asdict

from accounts.caller import Limits
from accounts.caller_lookup import limits_of
from accounts.models import Account, ApiKey
from billing.ledger.windows import spans
from billing.models import Window

Amount = Decimal | int


@dataclass(frozen=True)
class Standing:
    """One limit of money or tokens, now. `unit`: usd or tokens; amounts in it."""

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


def limits_in_force(account: Account) -> Limits:
    """An account's own limits, and its plan's where it has none of its own."""
    own, of_plan = asdict(limits_of(account)), asdict(limits_of(account.plan))
    return Limits(**{name: of_plan[name] if value is None else value for name, value in own.items()})


def standings_of(
    account: Account, keys: Iterable[ApiKey], now: datetime
) -> dict[tuple[str, int], list[Standing]]:
    """By (scope, id), day before month and USD before tokens; scopes without such limits have none."""
    limits: dict[tuple[str, int], Limits] = {("account", account.pk): limits_in_force(account)}
    limits |= {("key", key.pk): limits_of(key) for key in keys}
    key_ids = [pk for scope, pk in limits if scope == "key"]
    windows = Window.objects.filter(
        Q(scope="account", scope_id=account.pk) | Q(scope="key", scope_id__in=key_ids),
        starts_at__lte=now,
        ends_at__gt=now,
        time_zone=account.time_zone,
    )
    by_scope = {(one.scope, one.scope_id, one.period): one for one in windows}
    return {
        (scope, pk): [
            standing
            for span in spans(now, account.time_zone)
            for standing in standings_in(
                by_scope.get((scope, pk, span.period))
                or Window(
                    scope=scope,
                    scope_id=pk,
                    period=span.period,
                    starts_at=span.starts_at,
                    ends_at=span.ends_at,
                ),
                ceilings,
            )
        ]
        for (scope, pk), ceilings in limits.items()
    }


def standings_in(window: Window, limits: Limits) -> Sequence[Standing]:
    """What these limits set for this window."""
    if window.period == Window.Period.DAY:
        usd, tokens = limits.daily_usd, limits.daily_tokens
    else:
        usd, tokens = limits.monthly_usd, limits.monthly_tokens
    found = []
    for unit, limit, spent, held in (
        ("usd", usd, Decimal(window.spent_usd), Decimal(window.held_usd)),
        ("tokens", tokens, window.spent_tokens, window.held_tokens),
    ):
        if limit is not None:
            found.append(
                Standing(
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
    return found


def _share(part: Amount, whole: Amount) -> Decimal:
    """Of 1; a limit of nothing is used up."""
    return Decimal(part) / Decimal(whole) if whole else Decimal(1)
