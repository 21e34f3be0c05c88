"""The command palette (Ctrl-K): a part for the dialog while the person types, and a page without a script."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required
from accounts.models import ApiKey
from accounts.templatetags.components import navigation
from billing.models import Request
from routing.catalog.live import catalog
from routing.pages.docs.search import index
from routing.pages.page_request import PageRequest, is_fragment

_MOST_TEXT = 100
_MOST = 6  # of a group


@dataclass(frozen=True)
class Hit:
    """`note` is shown fainter, behind the title."""

    title: str
    url: str
    note: str = ""


@require_safe
@account_required
@vary_on_headers("HX-Request")
def palette(request: PageRequest) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:_MOST_TEXT]
    groups = [(title, hits) for title, hits in _groups(request, query) if hits]
    template = "pages/palette/_results.html" if is_fragment(request) else "pages/palette/page.html"
    return render(request, template, {"query": query, "groups": groups})


def _groups(request: PageRequest, query: str) -> Iterator[tuple[str, list[Hit]]]:
    text = query.lower()
    yield (
        "Pages",
        [
            Hit(link["label"], link["url"], title)
            for title, links in navigation(request)
            for link in links
            if text in link["label"].lower()
        ],
    )
    if not query:
        return
    yield "Requests", _requests(request, query)
    yield "Models", _models(text)
    yield "Keys", _keys(request, query)
    results = index().search(query, _MOST, prefix=True)
    yield "Docs", [Hit(result.passage.title, result.passage.url) for result in results]


def _requests(request: PageRequest, query: str) -> list[Hit]:
    """By the start of the id, and all those with the text in their metadata behind a link to the list."""
    rows = Request.objects.filter(account=request.account, id__startswith=query).order_by("-id")[:_MOST]
    hits = [
        Hit(row.id, reverse("request", args=[row.id]), f"{row.get_status_display()}, {row.served_model}")
        for row in rows.only("id", "status", "served_model")
    ]
    return hits or [Hit(f"Requests with “{query}”", f"{reverse('requests')}?{urlencode({'q': query})}")]


def _models(text: str) -> list[Hit]:
    models = catalog.snapshot.models.values()
    matching = [facts for facts in models if text in facts.id.lower() or text in facts.name.lower()]
    matching.sort(key=lambda facts: (not facts.name.lower().startswith(text), facts.name))
    return [Hit(facts.name, reverse("model", args=[facts.id]), facts.id) for facts in matching[:_MOST]]


def _keys(request: PageRequest, query: str) -> list[Hit]:
    keys = ApiKey.objects.filter(account=request.account, revoked_at__isnull=True)
    named = keys.filter(name__icontains=query) | keys.filter(last_four=query)
    return [
        Hit(key.name, f"{reverse('requests')}?key={key.pk}", f"…{key.last_four}, its requests")
        for key in named.order_by("name")[:_MOST]
    ]
