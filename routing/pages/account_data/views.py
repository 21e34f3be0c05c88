"""Data of an account: download everything, erase stored content, delete the account."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required, change_required, current_member, current_person
from accounts.audit import record
from accounts.forms.keys import ConfirmNameForm
from accounts.models import Member
from billing.content.store import erase_content
from routing.pages.account_data.deletion import CannotDelete, delete_account
from routing.pages.account_data.export import export
from routing.pages.page_request import PageRequest


@require_GET
@never_cache
@account_required
def export_all(request: PageRequest) -> FileResponse:
    name = f"routeplex-{timezone.now():%Y-%m-%d}.zip"
    return FileResponse(export(request.account), as_attachment=True, filename=name)


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def content_erase(request: PageRequest) -> HttpResponse:
    form = ConfirmNameForm(request.POST or None, expected=request.account.name)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            erased = erase_content(request.account)
            record(request.account, current_person(request), "content.erased", detail={"requests": erased})
        messages.success(request, f"Prompts and answers of {erased:,} requests were deleted.")
        return redirect("settings")
    text = "All stored prompts and answers of this account are deleted. This can't be undone."
    return _confirm(request, form, "Delete prompts and answers", text)


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def account_delete(request: PageRequest) -> HttpResponse:
    """Only for owners. A person without another account is deleted too, and signed out."""
    if current_member(request).role != Member.Role.OWNER:
        raise PermissionDenied("Only an owner can delete an account.")
    form = ConfirmNameForm(request.POST or None, expected=request.account.name)
    if request.method == "POST" and form.is_valid():
        try:
            delete_account(request.account)
        except CannotDelete as reason:
            messages.error(request, str(reason))
            return redirect("settings")
        logout(request)
        messages.success(request, "The account is deleted.")
        return redirect("home")
    text = (
        "Its keys stop at once. Prompts, answers, metadata, members, alerts and the audit log are erased, "
        "and so are people who belong to no other account. Tokens and cost stay in the books, without a "
        "name. This can't be undone."
    )
    return _confirm(request, form, "Delete account", text)


def _confirm(request: PageRequest, form: ConfirmNameForm, title: str, text: str) -> HttpResponse:
    """The question in a dialog and, opened directly, on a page; its title is also the verb of its button."""
    template = "components/modal.html" if request.htmx else "pages/account_data/confirm.html"
    context: dict[str, Any] = {
        "form": form,
        "title": title,
        "text": text,
        "body": "pages/account_data/_confirm.html",
        "action": request.path,
        "expected": request.account.name,
        "cancel_url": reverse("settings"),
    }
    return render(request, template, context, status=422 if form.errors else 200)
