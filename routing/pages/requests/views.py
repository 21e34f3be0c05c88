"""The request list, newest first; its live tail; its export."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required, current_person
from accounts.models import Account, ApiKey
from billing.models import Request
from billing.reports.export import Format
from billing.reports.sorting import SORTED_ROWS, Place, Sort
from core.numbers.formats import provider_name
from routing.catalog.live import catalog
from routing.decide.prediction.skills import WORDS, Skill
from routing.pages.page_request import PageRequest, is_fragment, viewer_zone
from routing.pages.requests import queries, refused, saved
from routing.pages.requests.filters import PERIODS, REFUSED, STATUSES, FilterForm, Filters, parse
from routing.pages.requests.histogram import histogram
from routing.pages.requests.models import SavedView
from routing.pages.requests.paging import Cursor
from routing.templatetags.pages import model_text

SORTS = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "most_expensive": "Most expensive first",
    "cheapest": "Cheapest first",
    "slowest": "Slowest first",
    "fastest": "Fastest first",
    "most_tokens": "Most tokens first",
    "fewest_tokens": "Fewest tokens first",
}
_BY_COLUMN = {
    "time": (Sort.NEWEST, Sort.OLDEST),
    "cost": (Sort.MOST_EXPENSIVE, Sort.CHEAPEST),
    "latency": (Sort.SLOWEST, Sort.FASTEST),
    "tokens": (Sort.MOST_TOKENS, Sort.FEWEST_TOKENS),
}
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
    page = queries.Page([]) if filters.status == REFUSED else _page(request, filters, now)
    context = _list_context(request, filters, page, now)
    if is_fragment(request):
        response = render(request, "pages/requests/_list.html", context)
        response["HX-Push-Url"] = _url("requests", context["link_query"])
        return response
    choices = {
        "form": form,
        "keys": _keys(request.account),
        "models": _models(filters),
        "sorts": SORTS.items(),
    }
    return render(request, "pages/requests/page.html", context | choices)


@require_GET
@account_required
def tail(request: PageRequest) -> HttpResponse:
    """Rows that arrived since the last poll, to put on top; the whole list if there are too many."""
    now = timezone.now()
    filters, _ = _filters(request)
    if not request.htmx:
        return redirect(_url("requests", _query(request, filters)))
    cursor = Cursor.parse(request.GET.get("tail", ""))
    known = request.GET.getlist("known")[: queries.PAGE_ROWS]
    shown = _count(request.GET.get("shown", ""))
    news: tuple[Sequence[Request], Cursor] | None = None
    if cursor and filters.status == REFUSED:
        news = [], cursor
    elif cursor:
        news = queries.tail(request.account, filters, cursor, known, now)
    if not news or shown + len(news[0]) > MAX_TAIL_ROWS:
        page = queries.first_page(request.account, filters, now)
        response = render(request, "pages/requests/_list.html", _list_context(request, filters, page, now))
        response["HX-Retarget"], response["HX-Reswap"] = "#requests", "outerHTML"
        return response
    rows, next_cursor = news
    settled = queries.settled_since(request.account, request.GET.getlist("open"))
    newest = _number(request.GET.get("refused", ""))
    calls = refused.newer(request.account, filters, now, newest)
    newest = max([newest, *(call.pk for call in calls)])
    following = {
        "tail": str(next_cursor), "shown": shown + len(rows) + len(calls), "refused": newest,
    }  # fmt: skip
    columns = _personal(request).columns
    context = {
        "rows": refused.by_time(rows, calls),
        "settled": settled,
        "columns": columns,
        "refused_span": _refused_span(columns),
        "tail_url": _url("requests_tail", _query(request, filters) | following),
        "pause_url": _url("requests", _query(request, filters) | {"live": "off"}),
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


@require_POST
@account_required
def choose_columns(request: PageRequest) -> HttpResponse:
    """Keep the columns for this person, or in the view that is open."""
    saved_view = _number(request.POST.get("view", ""))
    saved.choose_columns(request.account, current_person(request), saved_view, request.POST.getlist("column"))
    return redirect(_back(request, saved_view))


@require_POST
@account_required
def view_save(request: PageRequest) -> HttpResponse:
    """Save the filters, the sort and the columns of the list under a name."""
    person = current_person(request)
    columns = saved.personal(request.account, person, _number(request.POST.get("view", ""))).columns
    query = request.POST.get("query", "")
    try:
        saved_view = saved.save(request.account, person, request.POST.get("name", ""), query, columns)
    except saved.CannotSave as error:
        messages.error(request, str(error))
        return redirect(_back(request))
    messages.success(request, f"“{saved_view.name}” is saved.")
    return redirect(_view_url(saved_view))


@require_POST
@account_required
def view_rename(request: PageRequest, pk: int) -> HttpResponse:
    try:
        saved_view = saved.rename(request.account, current_person(request), pk, request.POST.get("name", ""))
    except saved.CannotSave as error:
        messages.error(request, str(error))
        return redirect(_back(request, pk))
    return redirect(_view_url(saved_view))


@require_http_methods(["GET", "HEAD", "POST"])
@account_required
@vary_on_headers("HX-Request")
def view_remove(request: PageRequest, pk: int) -> HttpResponse:
    """Ask, in a dialog or on a page, then delete the view. The list keeps its filters, to save it again."""
    if request.method == "POST":
        name = saved.remove(request.account, current_person(request), pk)
        messages.success(request, f"“{name}” is deleted. Its filters are still set: save them again to undo.")
        return redirect(_back(request))
    query = saved.plain_query(request.GET.get("query", ""))
    context = {
        "title": f"Delete the view “{saved.own(request.account, current_person(request), pk).name}”",
        "body": "pages/requests/_view_remove.html",
        "action": request.path,
        "query": query,
        "cancel_url": f"{reverse('requests')}?view={pk}" + (f"&{query}" if query else ""),
    }
    template = "components/modal.html" if request.htmx else "pages/requests/view_remove.html"
    return render(request, template, context)


def _back(request: PageRequest, saved_view: int = 0) -> str:
    """The list that the form was on."""
    query = saved.plain_query(request.POST.get("query", ""))
    parts = [f"view={saved_view}" if saved_view else "", query]
    return reverse("requests") + ("?" + "&".join(filter(None, parts)) if any(parts) else "")


def _view_url(saved_view: SavedView) -> str:
    filters = f"&{saved_view.query}" if saved_view.query else ""
    return reverse("requests") + f"?view={saved_view.pk}{filters}"


def _personal(request: PageRequest) -> saved.Personal:
    view_id = _number(request.GET.get("view", ""))
    return saved.personal(request.account, current_person(request), view_id)


def _refused_span(columns: Sequence[str]) -> int:
    """The columns between the status and the key of a refused call."""
    return max(1, len(columns) - ("status" in columns) - ("key" in columns))


def _sort(request: PageRequest) -> Sort:
    name = request.GET.get("sort", "")
    return Sort(name) if name in SORTS else Sort.NEWEST


def _page(request: PageRequest, filters: Filters, now: datetime) -> queries.Page:
    if (sort := _sort(request)) != Sort.NEWEST:
        following, preceding = (Place.parse(request.GET.get(name, "")) for name in ("before", "after"))
        return queries.sorted_page(request.account, filters, sort, now, following, preceding)
    if before := Cursor.parse(request.GET.get("before", "")):
        return queries.page_older(request.account, filters, before, now)
    if after := Cursor.parse(request.GET.get("after", "")):
        return queries.page_newer(request.account, filters, after, now)
    return queries.first_page(request.account, filters, now)


def _list_context(
    request: PageRequest, filters: Filters, page: queries.Page, now: datetime
) -> dict[str, Any]:
    query, sort, personal = _query(request, filters), _sort(request), _personal(request)
    paused = request.GET.get("live") == "off"
    is_first = page.newer is None
    place = {name: request.GET[name] for name in ("before", "after") if request.GET.get(name)}
    cursor, known = queries.tail_start(page, now)
    between, refused_before = _refused_of(request, filters, page, now)
    calls = between.rows
    tail_query = query | {
        "tail": str(cursor), "known": known, "shown": len(page.rows) + len(calls), "refused": between.newest,
    }  # fmt: skip
    current = query | ({"live": "off"} if paused else {})
    older = {"before": str(page.older)} if page.older else None
    if refused_before:
        older = {"before": str(refused_before)}
    return {
        "page": page,
        "rows": refused.by_time(page.rows, calls) if sort == Sort.NEWEST else page.rows,
        "more_refused": between.more,
        "sort": sort,
        "sort_links": _sort_links(query, sort),
        "personal": personal,
        "view_links": [(saved_view, _view_url(saved_view)) for saved_view in personal.views],
        "columns": personal.columns,
        "all_columns": saved.COLUMNS.items(),
        "span": len(personal.columns) + 1,
        "refused_span": _refused_span(personal.columns),
        "plain_query": saved.plain_query(urlencode(query)),
        "sorted_rows": SORTED_ROWS,
        "refused_url": _url("requests", query | {"status": REFUSED}),
        "chips": _chips(request.account, filters, current),
        "filtered": bool(filters.active),
        "is_first": is_first,
        "is_live": sort == Sort.NEWEST,
        "paused": paused,
        "link_query": current | ({} if is_first else place),
        "older_url": older and _url("requests", current | older),
        "newer_url": page.newer and _url("requests", current | {"after": str(page.newer)}),
        "newest_url": _url("requests", current),
        "tail_url": _url("requests_tail", tail_query),
        "pause_url": _url("requests", query | {"live": "off"}),
        "resume_url": _url("requests", query),
        "csv_url": _url("requests_csv", _filter_query(filters)),
        "ndjson_url": _url("requests_ndjson", _filter_query(filters)),
        "scan_rows": queries.SCAN_ROWS,
        **_histogram(request, filters, query, now),
    }


def _histogram(
    request: PageRequest, filters: Filters, query: dict[str, Any], now: datetime
) -> dict[str, Any]:
    """The picture above the list, and where each of its bars leads."""
    picture = histogram(request.account, filters, now, viewer_zone(request))
    if picture is None:
        return {"histogram": None}
    others = {name: value for name, value in query.items() if name not in ("period", "since", "until")}
    bars = [
        (bar, _url("requests", others | {"since": _minute(bar.start), "until": _minute(bar.end)}))
        for bar in picture.bars
    ]
    return {"histogram": picture, "histogram_bars": bars}


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")


def _refused_of(
    request: PageRequest, filters: Filters, page: queries.Page, now: datetime
) -> tuple[refused.Between, int | None]:
    """The refused calls of a page, and where their next page begins."""
    if filters.status == REFUSED:
        before = _number(request.GET.get("before", "")) or None
        rows, following = refused.page(request.account, filters, now, before)
        return refused.Between(rows, newest=rows[0].pk if rows else 0), following
    if _sort(request) != Sort.NEWEST:
        return refused.Between(), None
    cursor = Cursor.parse(request.GET.get("before", ""))
    newest = cursor.created_at if cursor else None
    if page.newer and not cursor and page.rows:
        newest = page.rows[0].created_at
    oldest = page.older.created_at if isinstance(page.older, Cursor) else None
    return refused.between(request.account, filters, now, oldest, newest), None


def _filters(request: PageRequest) -> tuple[Filters, FilterForm]:
    with timezone.override(viewer_zone(request)):  # times in the URL are the viewer's
        return parse(request.GET)


def _query(request: PageRequest, filters: Filters) -> dict[str, Any]:
    """The filters, the sort and the open view as URL parameters."""
    sort, saved_view = _sort(request), _number(request.GET.get("view", ""))
    others = {"sort": str(sort) if sort != Sort.NEWEST else "", "view": saved_view or ""}
    return _filter_query(filters) | {name: value for name, value in others.items() if value}


def _sort_links(query: dict[str, Any], sort: Sort) -> dict[str, tuple[str, str]]:
    """By column: where its head leads, and its aria-sort. A second click turns the order around."""
    links = {}
    for column, (first, second) in _BY_COLUMN.items():
        following = second if sort == first else first
        others = {name: value for name, value in query.items() if name != "sort"}
        to = others | ({} if following == Sort.NEWEST else {"sort": str(following)})
        state = ("descending" if sort.descends else "ascending") if sort in (first, second) else ""
        links[column] = (_url("requests", to), state)
    return links


def _filter_query(filters: Filters) -> dict[str, Any]:
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
        case "model":
            return f"model: {model_text(value)}"
        case "status":
            return f"status: {STATUSES[value].lower()}"
        case "strategy":
            return f"strategy: {value}"
        case "skill":
            return f"skill: {WORDS[Skill(value)]}"
        case "fallback":
            return "fell back" if value == "yes" else "first choice answered"
        case "period":
            return PERIODS[value][0].lower()
        case "since" | "until":
            return f"{'from' if name == 'since' else name} {value:%-d %b %Y, %H:%M}"
        case "min_tokens":
            return f"{value:,} tokens or more"
        case "min_cost":
            return f"${value:f} or more"
        case _:
            return f"{value:,} ms or longer"


def _keys(account: Account) -> list[ApiKey]:
    return list(ApiKey.objects.filter(account=account).order_by("-created_at")[:_KEYS_OFFERED])


def _models(filters: Filters) -> list[tuple[str, list[tuple[str, str]]]]:
    """By provider, models to offer in the filter as (id, name): the catalog's, and the current filter's."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for facts in catalog.snapshot.models.values():
        groups.setdefault(provider_name(facts.provider), []).append((facts.id, facts.name))
    if filters.model and filters.model not in catalog.snapshot.models:
        groups["Others"] = [(filters.model, model_text(filters.model))]
    return [(name, sorted(models, key=_by_name)) for name, models in sorted(groups.items())]


def _by_name(model: tuple[str, str]) -> str:
    return model[1].lower()


def _count(text: str) -> int:
    return min(_number(text), MAX_TAIL_ROWS)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _url(name: str, query: dict[str, Any]) -> str:
    return reverse(name) + (f"?{urlencode(query, doseq=True)}" if query else "")
