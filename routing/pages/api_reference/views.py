"""The reference's index and the page of each operation."""

import json
from html import escape
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from accounts.access import current_account
from routing.pages.api_reference.operations import groups, operations, usual_value
from routing.pages.api_reference.samples import samples_html
from routing.pages.docs.library import library
from routing.pages.docs.markdown import SITE


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/api_reference/index.html", _context(request))


@require_safe
def operation(request: HttpRequest, slug: str) -> HttpResponse:
    shown = operations().get(slug)
    if shown is None:
        raise Http404("There is no such operation.")
    site = escape(request.build_absolute_uri("/").rstrip("/"))
    example = "" if shown.example is None else json.dumps(shown.example, indent=2, ensure_ascii=False)
    context = _context(request) | {
        "operation": shown,
        "example": example,
        "inputs": [
            (parameter, usual_value(parameter.name) if parameter.place == "path" else "")
            for parameter in shown.parameters
            if parameter.place != "header"
        ],
        "samples": mark_safe(samples_html(shown).replace(SITE, site)),  # noqa: S308 - rendered from the schema
    }
    return render(request, "pages/api_reference/operation.html", context)


def _context(request: HttpRequest) -> dict[str, Any]:
    if request.user.is_authenticated:
        request.account = current_account(request)  # type: ignore[attr-defined]
    return {"library": library(), "groups": library().groups, "operation_groups": groups()}
