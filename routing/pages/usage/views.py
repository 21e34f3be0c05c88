"""The Usage page and its CSV and JSON exports."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.access import account_required
from billing.models import Request
from billing.pages.download import file_response
from billing.reports.export import csv_text, nine
from routing.catalog.live import catalog
from routing.pages.home.queries import change
from routing.pages.page_request import PageRequest
from routing.pages.periods import choices
from routing.pages.usage.chart import chart
from routing.pages.usage.queries import BYS, PRESETS, Group, Range, Report, known_tags, lines, sum_fields
from routing.pages.usage.queries import usage as report_of

_TITLES = {"model": "Model", "key": "Key", "strategy": "Strategy", "skill": "Skill", "tag": "Tag"}
_MAX_TAG = 64
_MOMENT = timedelta(microseconds=1)
_json = msgspec.json.Encoder(decimal_format="number")


@require_GET
@account_required
def usage(request: PageRequest) -> HttpResponse:
    now = timezone.now()
    of, period = _range(request, now)
    report = _report(request, now)
    query = period | {"by": report.by} | ({"tag": report.tag} if report.tag else {})
    context = {
        "report": report,
        "chart": chart(report, request.account.time_zone, _shown_name(report)),
        "rows": [_row(report, group) for group in report.groups],
        "change": change(report.total.cost_usd, report.before.cost_usd),
        "requests_change": change(report.total.requests, report.before.requests),
        "tokens_change": change(report.total.tokens, report.before.tokens),
        "each_usd": report.total.cost_usd / report.total.requests if report.total.requests else None,
        "periods": choices(str(of), PRESETS, **_without(query, "period", "from", "until")),
        "first": report.buckets[0].day,
        "last": min(
            (report.buckets[-1].end - _MOMENT).astimezone(_zone(request)), now.astimezone(_zone(request))
        ),
        "bys": [
            (name, title, _url(_without(query, "tag") | {"by": name})) for name, title in _TITLES.items()
        ],
        "tags": [(tag, _url(query | {"tag": tag})) for tag in known_tags(request.account)]
        if report.by == "tag"
        else [],
        "query": query,
        "title": report.tag if report.by == "tag" and report.tag else _TITLES[report.by],
        "account": request.account,
        "csv_url": f"{reverse('usage_csv')}?{urlencode(query)}",
        "json_url": f"{reverse('usage_json')}?{urlencode(query)}",
    }
    return render(request, "pages/usage/page.html", context)


@require_GET
@account_required
def as_csv(request: PageRequest) -> HttpResponse:
    report = _report(request, timezone.now())
    names = [report.per, report.by, *sum_fields(report.total)]
    text = csv_text([names, *([line[name] for name in names] for line in lines(report))])
    return file_response(text, "text/csv; charset=utf-8", "usage.csv")


@require_GET
@account_required
def as_json(request: PageRequest) -> HttpResponse:
    report = _report(request, timezone.now())
    document = {
        "per": report.per,
        "by": report.by,
        "tag": report.tag or None,
        "time_zone": request.account.time_zone,
        "from": report.since,
        "rows": [_exact(line) for line in lines(report)],
        "total": _exact(sum_fields(report.total)),
    }
    return file_response(_json.encode(document), "application/json", "usage.json")


def _report(request: PageRequest, now: datetime) -> Report:
    """The report for the URL's parameters; an unknown parameter falls back to the default."""
    of, _ = _range(request, now)
    by = request.GET.get("by", "")
    tag = request.GET.get("tag", "")[:_MAX_TAG]
    tag = tag if tag.isprintable() else ""
    return report_of(request.account, of, by if by in BYS else "model", tag, now)


def _range(request: PageRequest, now: datetime) -> tuple[str | Range, dict[str, str]]:
    """The preset or the days that the URL names, and the parameters that name it again.

    An account whose first request is of today sees its hours by default.
    """
    first, last = _day(request.GET.get("from", "")), _day(request.GET.get("until", ""))
    if first and last:
        return Range.of_days(first, last), {"from": first.isoformat(), "until": last.isoformat()}
    name = request.GET.get("period", "")
    if name not in PRESETS:
        today = now.astimezone(_zone(request)).replace(hour=0, minute=0, second=0, microsecond=0)
        requests = Request.objects.filter(account=request.account)
        is_first_day = requests.exists() and not requests.filter(created_at__lt=today).exists()
        name = "today" if is_first_day else "30d"
    return name, {"period": name}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _zone(request: PageRequest) -> ZoneInfo:
    return ZoneInfo(request.account.time_zone)


def _shown_name(report: Report) -> Callable[[str], str]:
    """Models by their display names; other groups as they are."""
    models = catalog.snapshot.models if report.by == "model" else {}
    return lambda name: models[name].name if name in models else name


def _row(report: Report, group: Group) -> dict[str, Any]:
    whole = report.total.cost_nano
    link = group.query and f"{reverse('requests')}?" + urlencode(
        dict(group.query) | {"since": report.since.isoformat(timespec="minutes")}
    )
    return {
        "group": group,
        "share": group.total.cost_nano / whole if whole else None,
        "change": change(group.total.cost_usd, group.before.cost_usd),
        "url": link,
    }


def _exact(line: dict[str, Any]) -> dict[str, Any]:
    return {name: nine(value) if name.endswith("_usd") else value for name, value in line.items()}


def _url(query: Mapping[str, str]) -> str:
    return f"{reverse('usage')}?{urlencode(query)}"


def _without(query: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in query.items() if name not in names}
