"""The Limits page: each limit with what is spent and held, open alerts, alert channels, delivery log."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import account_required, current_account, may_change
from accounts.caller_lookup import limits_in_force, own_limits
from accounts.models import Account, ApiKey
from billing.alerts.budgets import THRESHOLDS
from billing.alerts.channels import default_channel
from billing.alerts.delivery import PAUSES
from billing.alerts.limit_status import LimitStatus, limit_statuses
from billing.alerts.models import Alert, AlertChannel, Delivery
from billing.ledger.rate_limits import RateRule, figures_of
from billing.models import Request
from billing.reports.measures import nano_sum, usd

_KEYS_SHOWN = 50
_HOLDS_SHOWN = 20
_LOG_PAGE = 20
_WORDS = {
    ("day", "usd"): "USD per day",
    ("month", "usd"): "USD per month",
    ("day", "tokens"): "Tokens per day",
    ("month", "tokens"): "Tokens per month",
}
_FULL = Decimal("0.995")


@dataclass(frozen=True)
class Bar:
    """A limit as a row of the page; `spent` and `held` are widths in percent of the bar."""

    title: str
    status: LimitStatus
    spent: str
    held: str
    tone: str

    @property
    def percent(self) -> int:
        """The spent share in percent, rounded down, so that 100 means fully spent."""
        return int(self.status.spent_share * 100)

    @property
    def percent_text(self) -> str:
        return "<1%" if self.percent == 0 and self.status.spent_share else f"{self.percent}%"


@dataclass(frozen=True)
class Rate:
    """A rate limit, or the limit of requests at a time, and its current use."""

    title: str
    limit: int
    used: int


@require_safe
@account_required
def limits(request: HttpRequest) -> HttpResponse:
    """`before` is the id of the delivery from which the log continues."""
    account, now = current_account(request), timezone.now()
    keys = _working_keys(account, now)
    statuses = limit_statuses(account, keys[:_KEYS_SHOWN], now)
    default_channel(account)
    context = {
        "account": account,
        "may_change": may_change(request),
        "bars": [_bar(status) for status in statuses["account", account.pk]],
        "rates": _rates(account, now),
        "keys": [_key_row(key, statuses["key", key.pk]) for key in keys[:_KEYS_SHOWN]],
        "more_keys": len(keys) > _KEYS_SHOWN,
        "thresholds": THRESHOLDS,
        "open_alerts": Alert.objects.filter(account=account, resolved_at=None).order_by("-raised_at")[:10],
        "channels": AlertChannel.objects.filter(account=account).order_by("pk"),
        "most_tries": len(PAUSES) + 1,
    }
    return render(request, "billing/limits.html", context | _holds(account) | _log(request, account))


def _working_keys(account: Account, now: datetime) -> list[ApiKey]:
    working = ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now), account=account, revoked_at=None
    )
    return list(working.order_by("-pk")[: _KEYS_SHOWN + 1])


def _bar(status: LimitStatus) -> Bar:
    spent = min(status.spent_share, Decimal(1))
    held = min(status.held_share, 1 - spent)
    tone = "bad" if spent >= _FULL else "warn" if spent >= Decimal("0.8") else ""
    title = _WORDS[status.period, status.unit]
    return Bar(title, status, f"{spent * 100:.2f}", f"{held * 100:.2f}", tone)


def _key_row(key: ApiKey, statuses: list[LimitStatus]) -> dict[str, Any]:
    return {"key": key, "bars": [_bar(status) for status in statuses], "rates": _key_rates(key)}


def _rates(account: Account, now: datetime) -> list[Rate]:
    """The account's rate limits with what the ledger counts against them."""
    ceilings = limits_in_force(account)
    requests, tokens = ceilings.requests_per_minute, ceilings.tokens_per_minute
    at_once = ceilings.concurrent_requests
    if requests is None and tokens is None and at_once is None:
        return []
    usage = figures_of(RateRule("account", account.pk, requests, tokens, at_once), now)
    rows = (
        ("Requests per minute", requests, usage.requests),
        ("Tokens per minute", tokens, usage.tokens),
        ("Requests at a time", at_once, usage.in_flight),
    )
    return [Rate(title, limit, used) for title, limit, used in rows if limit is not None]


def _key_rates(key: ApiKey) -> list[str]:
    own = own_limits(key)
    rates = (
        (own.requests_per_minute, "requests/min"),
        (own.tokens_per_minute, "tokens/min"),
        (own.concurrent_requests, "at a time"),
    )
    return [f"{limit:,} {words}" for limit, words in rates if limit is not None]


def _holds(account: Account) -> dict[str, Any]:
    under_way = Request.objects.filter(account=account, status=Request.Status.OPEN)
    sums = under_way.aggregate(count=Count("pk"), nano=nano_sum("held_usd"), tokens=Sum("held_tokens"))
    sums["usd"] = usd(sums.pop("nano"))
    shown = under_way.select_related("key").defer("trace").order_by("-created_at")[:_HOLDS_SHOWN]
    return {"holds": shown if sums["count"] else [], "held": sums}


def _log(request: HttpRequest, account: Account) -> dict[str, Any]:
    log = Delivery.objects.filter(alert__account=account).select_related("alert").order_by("-pk")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        log = log.filter(pk__lt=int(before))
    page = list(log[: _LOG_PAGE + 1])
    return {
        "deliveries": page[:_LOG_PAGE],
        "older": page[_LOG_PAGE - 1].pk if len(page) > _LOG_PAGE else None,
    }
