"""The documentation: its index, each page, and the search. Public; signed-in people keep their sidebar."""

from html import escape
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.access import current_account
from routing.pages.docs.library import Page, library
from routing.pages.docs.markdown import SITE
from routing.pages.docs.search import index

_RESULTS = 12
_MOST_QUERY = 200  # characters


@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/docs/index.html", _context(request))


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    shown = library().page(slug)
    if shown is None:
        raise Http404("There is no such page in the documentation.")
    before, after = library().neighbours(shown)
    context = _context(request) | {
        "page": shown,
        "html": mark_safe(_with_site(shown, request)),  # noqa: S308 - rendered without raw HTML
        "before": before,
        "after": after,
    }
    return render(request, "pages/docs/page.html", context)


@require_safe
def without_slash(request: HttpRequest, slug: str = "") -> HttpResponse:
    """Redirect a path of the documentation that ends in slashes to its page."""
    query = request.META.get("QUERY_STRING", "")
    path = f"/docs/{slug}".rstrip("/")
    return redirect(path + (f"?{query}" if query else ""), permanent=True)


@require_safe
@vary_on_headers("HX-Request")
def search(request: HttpRequest) -> HttpResponse:
    """Results as a page, or as a part of it while the reader types."""
    query = request.GET.get("q", "").strip()[:_MOST_QUERY]
    is_part = bool(request.htmx)  # type: ignore[attr-defined]
    results = index().search(query, _RESULTS, prefix=is_part) if query else []
    parts = {"query": query, "results": results}
    if is_part:
        return render(request, "pages/docs/_results.html", parts)
    return render(request, "pages/docs/search.html", _context(request) | parts)


def _context(request: HttpRequest) -> dict[str, Any]:
    if request.user.is_authenticated:
        request.account = current_account(request)  # type: ignore[attr-defined]
    return {"library": library(), "groups": library().groups}


def _with_site(shown: Page, request: HttpRequest) -> str:
    """The guide's samples call the address that the reader's browser uses."""
    html = shown.document.html
    if not shown.is_guide:
        return html
    return html.replace(SITE, escape(request.build_absolute_uri("/").rstrip("/")))
