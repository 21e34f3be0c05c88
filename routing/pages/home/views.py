"""Home: figures of a period and what needs attention. Visitors who are not signed in get the landing page."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.access import account_required
from billing.reports.queries import Sources
from billing.reports.summary import merged
from routing.catalog.availability import by_day, last_day, provider_hours
from routing.pages.home import queries, series
from routing.pages.home.attention import findings
from routing.pages.page_request import PageRequest, viewer_zone
from routing.pages.periods import DAYS, choices
from routing.pages.provider_health import circuits, current_snapshot, provider_health
from routing.pages.start.snippets import PLACEHOLDER, openai_snippet

_NOTICED = 0.01  # smaller changes get no colour
_BEFORE = {"today": "the same hours of yesterday"} | {
    name: f"the {days} days before" for name, days in DAYS.items() if days > 1
}


_TOPS = {"slowest": "Slowest", "most_expensive": "Most expensive"}  # lists of a summary


@dataclass(frozen=True)
class Change:
    """A figure against the period before, relative; None: nothing to compare. `tone`: good, bad or empty."""

    value: float | None = None
    tone: str = ""


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        base_url = request.build_absolute_uri("/").rstrip("/")
        return render(request, "pages/home/landing.html", {"snippet": openai_snippet(base_url, PLACEHOLDER)})
    return _dashboard(cast(PageRequest, request))


@account_required
def _dashboard(request: PageRequest) -> HttpResponse:
    if not queries.has_requests(request.account):
        return render(request, "pages/home/empty.html", {"account": request.account})
    name = request.GET.get("period", "")
    name = name if name in DAYS else "7d"
    top = request.GET.get("top", "")
    top = top if top in _TOPS else "slowest"
    return render(request, "pages/home/page.html", _context(request, name, top))


def _context(request: PageRequest, name: str, top: str) -> dict[str, Any]:
    account, now = request.account, timezone.now().astimezone(viewer_zone(request))
    period = queries.period_named(name, now.astimezone(ZoneInfo(account.time_zone)))
    sources = Sources.now(account.pk, period.before_start, period.end)
    edges = series.edges(name, period)
    parts = sources.summaries(edges)
    of_period = merged(parts)
    totals = queries.totals(of_period)
    before = queries.totals(sources.summary(period.before_start, period.before_end))
    (top_requests,) = queries.listed(account, getattr(of_period, top))
    snapshot = current_snapshot(circuits())
    health = provider_health(snapshot)
    budget = queries.budget_today(account, now)
    return {
        "periods": choices(name, **({"top": top} if top != "slowest" else {})),
        "before_words": _BEFORE[name],
        "totals": totals,
        "sparks": series.sparks(parts),
        "traffic": series.traffic(name, edges[:-1], parts),
        "spend": series.spend(name, edges[:-1], parts),
        "latency": series.latency(name, edges[:-1], parts),
        "before": before,
        "changes": _changes(totals, before),
        "shares": queries.distribution(of_period),
        "top": top,
        "tops": [
            (title, f"?{urlencode({'period': name, 'top': key})}", key == top) for key, title in _TOPS.items()
        ],
        "top_requests": top_requests,
        "providers": list(health.values()),
        "uptimes": [(last_day(hours), by_day(hours)) for hours in provider_hours(list(health), now)],
        "budget": budget,
        "findings": findings(account, snapshot, budget, now),
    }


def _changes(now: queries.Totals, before: queries.Totals) -> dict[str, Change]:
    """Volume and spend are neither good nor bad; failing more or waiting longer is bad."""
    return {
        "requests": Change(queries.change(now.requests, before.requests)),
        "spend": Change(queries.change(now.spend_usd, before.spend_usd)),
        "success": _judged(queries.change(now.success_rate, before.success_rate), more_is_good=True),
        "p50": _judged(queries.change(now.p50_ms, before.p50_ms), more_is_good=False),
        "p95": _judged(queries.change(now.p95_ms, before.p95_ms), more_is_good=False),
    }


def _judged(value: float | None, *, more_is_good: bool) -> Change:
    if value is None or abs(value) < _NOTICED:
        return Change(value)
    return Change(value, "good" if (value > 0) == more_is_good else "bad")
