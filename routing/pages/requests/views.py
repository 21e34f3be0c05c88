"""The request list, newest first; its live tail; its export."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required
from accounts.models import Account, ApiKey
from billing.reports.export import Format
from routing.catalog.models import Model
from routing.decide.prediction.skills import WORDS, Skill
from routing.pages.page_request import PageRequest, is_fragment, viewer_zone
from routing.pages.requests import queries
from routing.pages.requests.filters import PERIODS, FilterForm, Filters, parse
from routing.pages.requests.paging import Cursor

MAX_TAIL_ROWS = 300  # shown at a time; a longer tail begins anew
_KEYS_OFFERED = 100


@dataclass(frozen=True)
class Chip:
    """An active filter in words, and the query that drops it."""

    text: str
    without: str


@require_GET
@account_required
@vary_on_headers("HX-Request")
def requests(request: PageRequest) -> HttpResponse:
    now = timezone.now()
    filters, form = _filters(request)
    page = _page(request, filters, now)
    context = _list_context(request, filters, page, now)
    if is_fragment(request):
        response = render(request, "pages/requests/_list.html", context)
        response["HX-Push-Url"] = _url("requests", context["link_query"])
        return response
    choices = {"form": form, "keys": _keys(request.account), "models": _models(filters)}
    return render(request, "pages/requests/page.html", context | choices)


@require_GET
@account_required
def tail(request: PageRequest) -> HttpResponse:
    """Rows that arrived since the last poll, to put on top; the whole list if there are too many."""
    now = timezone.now()
    filters, _ = _filters(request)
    cursor = Cursor.parse(request.GET.get("tail", ""))
    known = request.GET.getlist("known")[: queries.PAGE_ROWS]
    shown = _count(request.GET.get("shown", ""))
    news = cursor and queries.tail(request.account, filters, cursor, known, now)
    if not news or shown + len(news[0]) > MAX_TAIL_ROWS:
        page = queries.first_page(request.account, filters, now)
        response = render(request, "pages/requests/_list.html", _list_context(request, filters, page, now))
        response["HX-Retarget"], response["HX-Reswap"] = "#requests", "outerHTML"
        return response
    rows, next_cursor = news
    settled = queries.settled_since(request.account, request.GET.getlist("open"))
    following = {"tail": str(next_cursor), "shown": shown + len(rows)}
    context = {
        "rows": rows,
        "settled": settled,
        "tail_url": _url("requests_tail", _query(filters) | following),
        "pause_url": _url("requests", _query(filters) | {"live": "off"}),
    }
    return render(request, "pages/requests/_tail.html", context)


@require_GET
@account_required
def export(request: PageRequest, file_format: str) -> StreamingHttpResponse:
    now = timezone.now()
    filters, _ = _filters(request)
    return StreamingHttpResponse(
        queries.exported(request.account, filters, Format(file_format), now),
        content_type=Format(file_format).content_type,
        headers={
            "Content-Disposition": f'attachment; filename="requests-{now:%Y-%m-%d-%H%M}.{file_format}"',
            "Cache-Control": "no-store",
        },
    )


def _page(request: PageRequest, filters: Filters, now: datetime) -> queries.Page:
    if before := Cursor.parse(request.GET.get("before", "")):
        return queries.page_older(request.account, filters, before, now)
    if after := Cursor.parse(request.GET.get("after", "")):
        return queries.page_newer(request.account, filters, after, now)
    return queries.first_page(request.account, filters, now)


def _list_context(
    request: PageRequest, filters: Filters, page: queries.Page, now: datetime
) -> dict[str, Any]:
    query = _query(filters)
    paused = request.GET.get("live") == "off"
    is_first = page.newer is None
    place = {name: request.GET[name] for name in ("before", "after") if request.GET.get(name)}
    cursor, known = queries.tail_start(page, now)
    tail_query = query | {"tail": str(cursor), "known": known, "shown": len(page.rows)}
    current = query | ({"live": "off"} if paused else {})
    return {
        "page": page,
        "rows": page.rows,
        "chips": _chips(request.account, filters, current),
        "filtered": bool(filters.active),
        "is_first": is_first,
        "paused": paused,
        "link_query": current | ({} if is_first else place),
        "older_url": page.older and _url("requests", current | {"before": str(page.older)}),
        "newer_url": page.newer and _url("requests", current | {"after": str(page.newer)}),
        "newest_url": _url("requests", current),
        "tail_url": _url("requests_tail", tail_query),
        "pause_url": _url("requests", query | {"live": "off"}),
        "resume_url": _url("requests", query),
        "csv_url": _url("requests_csv", query),
        "ndjson_url": _url("requests_ndjson", query),
        "scan_rows": queries.SCAN_ROWS,
    }


def _filters(request: PageRequest) -> tuple[Filters, FilterForm]:
    with timezone.override(viewer_zone(request)):  # times in the URL are the viewer's
        return parse(request.GET)


def _query(filters: Filters) -> dict[str, Any]:
    """The filters as URL parameters. Times carry their offset: a shared link means the same to all."""
    return {
        name: value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)
        for name, value in filters.active.items()
    }


def _chips(account: Account, filters: Filters, query: dict[str, Any]) -> list[Chip]:
    texts = {name: _in_words(name, value) for name, value in filters.active.items()}
    if filters.key:
        key = ApiKey.objects.filter(account=account, pk=filters.key).first()
        texts["key"] = f"key: {key.name}" if key else "key: none of yours"
    return [
        Chip(text, _url("requests", {other: value for other, value in query.items() if other != name}))
        for name, text in texts.items()
    ]


def _in_words(name: str, value: Any) -> str:
    match name:
        case "q":
            return f"contains “{value}”"
        case "status" | "strategy" | "model":
            return f"{name}: {value}"
        case "skill":
            return f"skill: {WORDS[Skill(value)]}"
        case "fallback":
            return "fell back" if value == "yes" else "first choice answered"
        case "period":
            return PERIODS[value][0].lower()
        case "since" | "until":
            return f"{name} {value:%Y-%m-%d %H:%M}"
        case "min_tokens":
            return f"{value:,} tokens or more"
        case "min_cost":
            return f"${value:f} or more"
        case _:
            return f"{value:,} ms or longer"


def _keys(account: Account) -> list[ApiKey]:
    return list(ApiKey.objects.filter(account=account).order_by("-created_at")[:_KEYS_OFFERED])


def _models(filters: Filters) -> list[str]:
    """Ids to offer in the filter: the catalog's, and the current filter's."""
    known = set(Model.objects.filter(enabled=True).values_list("id", flat=True))
    return sorted(known | ({filters.model} if filters.model else set()))


def _count(text: str) -> int:
    return min(int(text), MAX_TAIL_ROWS) if text.isascii() and text.isdigit() else 0


def _url(name: str, query: dict[str, Any]) -> str:
    return reverse(name) + (f"?{urlencode(query, doseq=True)}" if query else "")
