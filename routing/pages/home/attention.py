"""Findings that need attention: each says what is wrong and links to where it can be seen or changed.

Queries are bounded like Home's figures: an account's reports of a day or a week, or the catalog's few rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.urls import reverse

from accounts.keys import EXPIRING_SOON
from accounts.models import Account, ApiKey
from billing.models import Request
from billing.refusals.queries import calls, of_account
from billing.reports.queries import Sources
from core.numbers.formats import money_text, provider_name
from routing.catalog.live import catalog
from routing.catalog.models import Model
from routing.catalog.snapshot import Snapshot
from routing.decide.strategy_weights import RETIRING_DAYS
from routing.language.chat import Mode
from routing.pages.home.queries import Budget
from routing.pages.provider_health import provider_health

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_RETIRING_SOON = timedelta(days=30)
_NEWEST = 5_000  # requests searched for the models they name: these few columns take about 20 ms
# Fewer requests than this say nothing about a rate. The shares above which to warn are chosen, not measured.
_ENOUGH = 20
_FAILED_SHARE, _FELL_BACK_SHARE = 0.05, 0.2
_FAILED = (Request.Status.FAILED, Request.Status.EXPIRED)
_BUDGET_SHARE = Decimal("0.8")  # also the threshold of the first budget alert


@dataclass(frozen=True)
class Finding:
    """A sentence for Home. `tone` is bad, warn or info; `url` is where it can be seen or changed."""

    tone: str
    text: str
    url: str = ""
    link: str = ""


def findings(account: Account, snapshot: Snapshot, budget: Budget | None, now: datetime) -> list[Finding]:
    """Most serious first; `now` is in the viewer's time zone, and so are the dates in the texts."""
    all_findings = [
        *_budget(budget),
        *_last_day(account, now),
        *_refused(account, now),
        *_providers(snapshot),
        *_keys(account, now),
        *_retiring(account, now),
    ]
    return sorted(all_findings, key=lambda finding: ("bad", "warn", "info").index(finding.tone))


def _budget(budget: Budget | None) -> Iterator[Finding]:
    if budget is None:
        return
    ceiling = money_text(budget.ceiling_usd)
    if budget.spent_usd >= budget.ceiling_usd:
        until = f"{budget.resets_at:%H:%M} {budget.time_zone}"
        yield Finding("bad", f"Today's budget of {ceiling} is spent: new requests are refused until {until}.")
    elif budget.used_share >= _BUDGET_SHARE:
        yield Finding("warn", f"{budget.used_share:.0%} of today's budget of {ceiling} is spent.")


def _last_day(account: Account, now: datetime) -> Iterator[Finding]:
    parts = Sources.now(account.pk, now - _DAY, now).summary(now - _DAY, now).parts
    everything = sum(part.requests for part in parts)
    failed = sum(part.requests for part in parts if part.status in _FAILED)
    fell_back = sum(part.fell_back for part in parts)
    unpriced = sum(part.unpriced for part in parts)
    list_url = reverse("requests") + "?period=24h"
    if everything >= _ENOUGH and failed / everything > _FAILED_SHARE:
        text = f"{failed:,} of {everything:,} requests failed in the last 24 hours."
        yield Finding("bad", text, f"{list_url}&status=failed", "Failed requests")
    if everything >= _ENOUGH and fell_back / everything > _FELL_BACK_SHARE:
        text = f"{fell_back:,} of {everything:,} requests needed a fallback in the last 24 hours."
        yield Finding("warn", text, f"{list_url}&fallback=yes", "Requests that fell back")
    if unpriced:
        text = f"{unpriced:,} requests of the last day went to a model without a known price."
        yield Finding("warn", text, list_url, "Requests")


def _refused(account: Account, now: datetime) -> Iterator[Finding]:
    refused = calls(of_account(account.pk, since=now - _DAY))
    if refused:
        which, they = ("calls were", "They count") if refused > 1 else ("call was", "It counts")
        text = (
            f"{refused:,} {which} refused in the last 24 hours. {they} neither as a request nor as a failure."
        )
        yield Finding("warn", text, reverse("requests") + "?status=refused&period=24h", "Refused calls")


def _providers(snapshot: Snapshot) -> Iterator[Finding]:
    if not snapshot.models:
        yield Finding("bad", "No model is available: no provider is configured, or the catalog is empty.")
        return
    for provider, health in provider_health(snapshot).items():
        if health.blocked and health.blocked == health.models:
            yield Finding(
                "bad",
                f"{provider_name(provider)} is unavailable: {health.reason}",
                reverse("models"),
                "Models",
            )
        elif health.blocked:
            text = (
                f"{health.blocked} of {health.models} models of {provider_name(provider)} are unavailable: "
                f"{health.reason}"
            )
            yield Finding("warn", text, f"{reverse('models')}?provider={provider}", "Models")


def _keys(account: Account, now: datetime) -> Iterator[Finding]:
    expiring = ApiKey.objects.filter(
        account=account, revoked_at__isnull=True, expires_at__gt=now, expires_at__lte=now + EXPIRING_SOON
    )
    for key in expiring.order_by("expires_at")[:3]:
        assert key.expires_at is not None
        expiry = key.expires_at.astimezone(now.tzinfo)
        text = f"The key {key.name} (…{key.last_four}) expires on {expiry:%-d %B %Y}."
        yield Finding("warn", text, f"{reverse('requests')}?key={key.pk}", "Its requests")


def _retiring(account: Account, now: datetime) -> Iterator[Finding]:
    """Models this account named or used in the last week that are retired within the next 30 days."""
    ending = Model.objects.filter(shutdown__gte=now.date(), shutdown__lte=(now + _RETIRING_SOON).date())
    dates = {model: day for model, day in ending.values_list("id", "shutdown") if day is not None}
    if not dates:
        return
    pinned = _pinned(account, now) & dates.keys()
    for model in sorted(pinned):
        successor = catalog.names.successor_of(model)
        text = (
            f"{model}, which your requests ask for by name, will be retired on {dates[model]:%-d %B %Y}."
            + (f" Its documented successor is {successor}." if successor else "")
        )
        tone = "warn" if dates[model] <= (now + timedelta(days=RETIRING_DAYS)).date() else "info"
        yield Finding(tone, text, f"{reverse('models')}?q={model}", "The model")
    week = Sources.now(account.pk, now - _WEEK, now).sums(now - _WEEK, now, "served_model")
    for model in sorted({model for (model,) in week if model in dates} - pinned):
        text = f"{model}, which you used this week, will be retired on {dates[model]:%-d %B %Y}."
        yield Finding("info", text, f"{reverse('models')}?q={model}", "The model")


def _pinned(account: Account, now: datetime) -> set[str]:
    """Catalog ids of the models that the newest requests of the last week name."""
    rows = Request.objects.filter(account=account, created_at__gte=now - _WEEK)
    newest = rows.order_by("-created_at", "-id").values_list("mode", "requested_model")[:_NEWEST]
    named = {name for mode, name in newest if mode == Mode.MANUAL}
    return {catalog.names.resolve(name).id for name in named}
