"""The Usage page and its CSV and JSON exports."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.access import account_required
from billing.pages.download import file_response
from billing.reports.export import csv_text, nine
from routing.pages.home.queries import change
from routing.pages.page_request import PageRequest
from routing.pages.usage.chart import chart
from routing.pages.usage.queries import BYS, PERS, Group, Report, lines, sum_fields
from routing.pages.usage.queries import usage as report_of

_TITLES = {"model": "Model", "key": "Key", "strategy": "Strategy", "skill": "Skill", "tag": "Tag"}
_MAX_TAG = 64
_json = msgspec.json.Encoder(decimal_format="number")


@require_GET
@account_required
def usage(request: PageRequest) -> HttpResponse:
    now = timezone.now()
    report = _report(request, now)
    query = {"per": report.per, "by": report.by} | ({"tag": report.tag} if report.tag else {})
    context = {
        "report": report,
        "chart": chart(report),
        "rows": [_row(report, group) for group in report.groups],
        "change": change(report.total.cost_usd, report.before.cost_usd),
        "requests_change": change(report.total.requests, report.before.requests),
        "tokens_change": change(report.total.tokens, report.before.tokens),
        "pers": [(name, title, _url(query | {"per": name})) for name, (title, _) in PERS.items()],
        "bys": [(name, title, _url(query | {"by": name})) for name, title in _TITLES.items()],
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
    per, by = request.GET.get("per", ""), request.GET.get("by", "")
    tag = request.GET.get("tag", "")[:_MAX_TAG]
    tag = tag if tag.isprintable() else ""
    return report_of(request.account, per if per in PERS else "day", by if by in BYS else "model", tag, now)


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


def _url(query: dict[str, str]) -> str:
    return f"{reverse('usage')}?{urlencode(query)}"
