"""The Start page: a key in one click, code to paste, and a line that waits for the first request.

The secret is in one response only, the answer to the POST that created the key. It is in no URL, session,
cookie or cache, so reloading, going back or another tab cannot show it again.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required, may_change
from accounts.audit import record
from accounts.keys import create_key, status_of
from accounts.models import Account, ApiKey
from billing.models import Request
from billing.refusals import queries as refusals
from routing.pages.page_request import PageRequest, is_fragment
from routing.pages.start.snippets import PLACEHOLDER, PROMPT, snippets

KEY_NAME = "First key"
_LOOKED_AT = 20  # newest keys among which a usable one is looked for


@require_http_methods(["GET", "POST"])
@never_cache
@vary_on_headers("HX-Request")
@account_required
def start(request: PageRequest) -> HttpResponse:
    """GET shows the steps and which are done; POST creates a key and shows its secret this once."""
    if request.method == "POST":
        if not may_change(request):
            raise PermissionDenied("Viewers can look at this account but not make keys.")
        with transaction.atomic():
            key, secret = create_key(request.account, KEY_NAME, created_by=request.user)  # type: ignore[arg-type]
            record(request.account, request.user, "key.created", str(key))
        context = _context(request, key, secret)
    else:
        context = _context(request, _usable_key(request.account), None)
    template = "pages/start/_start.html" if is_fragment(request) else "pages/start/page.html"
    return render(request, template, context)


@require_GET
@never_cache
@account_required
def waiting(request: PageRequest) -> HttpResponse:
    """The line that waits, or the link it turns into once a request has arrived."""
    if not request.htmx:
        return redirect("start")
    return render(request, "pages/start/_waiting.html", _arrival(request.account))


def _context(request: PageRequest, key: ApiKey | None, secret: str | None) -> dict[str, Any]:
    base_url = request.build_absolute_uri("/").rstrip("/")
    return {
        "key": key,
        "secret": secret,
        "may_change": may_change(request),
        "prompt": PROMPT,
        "snippets": snippets(base_url, secret or PLACEHOLDER),
        **_arrival(request.account),
    }


def _arrival(account: Account) -> dict[str, Any]:
    """The newest request; before the first one, the newest refused call."""
    arrived = _newest_request(account)
    return {"arrived": arrived, "refused": None if arrived else refusals.newest(account.pk)}


def _usable_key(account: Account) -> ApiKey | None:
    now = timezone.now()
    newest = ApiKey.objects.filter(account=account, is_playground=False).order_by("-created_at")[:_LOOKED_AT]
    return next((key for key in newest if status_of(key, now) in ("active", "expiring")), None)


def _newest_request(account: Account) -> Request | None:
    rows = Request.objects.filter(account=account).order_by("-created_at", "-id")
    return rows.only("id", "created_at", "status", "served_model", "routed_model").first()
