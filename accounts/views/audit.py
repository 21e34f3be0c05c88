"""The Audit page: actions in this account, newest first."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import change_required, current_account
from accounts.models import AuditEntry

_PAGE_SIZE = 50
_MAX_TEXT = 60


@require_safe
@change_required
def audit(request: HttpRequest) -> HttpResponse:
    """`action` narrows to one kind of action; `before` is the id from which the list continues."""
    entries = AuditEntry.objects.filter(account=current_account(request))
    action = request.GET.get("action", "")[:_MAX_TEXT]
    matches = entries.filter(action=action) if action else entries
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        matches = matches.filter(pk__lt=int(before))
    page = list(matches.order_by("-pk")[: _PAGE_SIZE + 1])
    context = {
        "entries": [{"entry": entry, "facts": facts(entry)} for entry in page[:_PAGE_SIZE]],
        "action": action,
        "actions": entries.order_by("action").values_list("action", flat=True).distinct(),
        "older": page[_PAGE_SIZE - 1].pk if len(page) > _PAGE_SIZE else None,
    }
    return render(request, "accounts/audit.html", context)


def facts(entry: AuditEntry) -> list[tuple[str, str]]:
    """An entry's detail as names and texts; a change reads before → after."""
    join = " → " if entry.action.endswith(".changed") else ", "
    return [(name.replace("_", " "), _words(value, join)) for name, value in (entry.detail or {}).items()]


def _words(value: Any, join: str) -> str:
    return join.join(str(part) or "empty" for part in value) if isinstance(value, list) else str(value)
