"""The Keys page: list, create, rotate, revoke.

A secret is shown once, in the response to the form that created the key.
"""

import secrets
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts import model_ids
from accounts.access import account_required, change_required, current_account, current_person, may_change
from accounts.audit import record
from accounts.forms.keys import ConfirmNameForm, KeyForm, RotateForm
from accounts.keys import KeyNotUsable, create_key, resume, revoke, rotate, status_of
from accounts.models import ApiKey

_PAGE_SIZE = 50
_FORMS_REMEMBERED = 20
_UNUSABLE = ("revoked", "expired", "suspended")  # keys that can't be rotated


@require_safe
@account_required
def keys(request: HttpRequest) -> HttpResponse:
    """Newest first. `show=all` includes keys that no longer work; the list continues from the id `before`."""
    now = timezone.now()
    rows = ApiKey.objects.filter(account=current_account(request), is_playground=False).order_by("-pk")
    if request.GET.get("show") != "all":
        rows = rows.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    page = list(rows[: _PAGE_SIZE + 1])
    context = {
        "rows": [{"key": key, "status": status_of(key, now)} for key in page[:_PAGE_SIZE]],
        "shows_all": request.GET.get("show") == "all",
        "older": page[_PAGE_SIZE - 1].pk if len(page) > _PAGE_SIZE else None,
        "is_first_page": not before,
        "may_change": may_change(request),
    }
    return render(request, "accounts/keys.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@change_required
def key_new(request: HttpRequest) -> HttpResponse:
    account = current_account(request)
    with timezone.override(ZoneInfo(current_person(request).time_zone)):
        form = KeyForm(request.POST or None, initial={"form_id": secrets.token_urlsafe(16)})
        if request.method == "POST" and form.is_valid():
            if not _is_first_use(request, form.cleaned_data["form_id"]):
                return _already_created(request)
            name = form.cleaned_data["name"]
            with transaction.atomic():
                key, secret = create_key(account, name, created_by=current_person(request), **form.options())
                record(account, current_person(request), "key.created", str(key), form.audit_detail())
            return _show_secret(request, key, secret)
    context = {"account": account, "form": form, "models": model_ids.choices()}
    return render(request, "accounts/key_new.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@change_required
@vary_on_headers("HX-Request")
def key_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    key = _key_or_404(request, pk)
    if request.method != "POST" and (status := status_of(key, timezone.now())) in _UNUSABLE:
        return _refuse_unusable(request, key, status)
    form = RotateForm(request.POST or None, initial={"form_id": secrets.token_urlsafe(16)})
    if request.method == "POST" and form.is_valid():
        if not _is_first_use(request, form.cleaned_data["form_id"]):
            return _already_created(request)
        try:
            with transaction.atomic():
                new, secret = rotate(key, form.cleaned_data["overlap"], by=current_person(request))
                detail = {"new key": str(new), "overlap": str(form.cleaned_data["overlap"])}
                record(current_account(request), current_person(request), "key.rotated", str(key), detail)
        except KeyNotUsable as error:
            messages.error(request, str(error))
            return redirect("keys")
        key.refresh_from_db()
        return _show_secret(request, new, secret, replaced=key)
    return _confirm(request, key, form, title=f"Rotate “{key.name}”", body="accounts/_key_rotate.html")


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    key = _key_or_404(request, pk)
    if key.revoked_at is not None:
        return _refuse_unusable(request, key, "revoked")
    form = ConfirmNameForm(request.POST or None, expected=key.name)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            revoke(key)
            record(current_account(request), current_person(request), "key.revoked", str(key))
        messages.success(request, f"“{key.name}” (…{key.last_four}) is revoked and can't be used any more.")
        return redirect("keys")
    return _confirm(request, key, form, title=f"Revoke “{key.name}”", body="accounts/_key_revoke.html")


@require_POST
@change_required
def key_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a key work again whose creator left the account."""
    key = _key_or_404(request, pk)
    if key.suspended_at is not None:
        with transaction.atomic():
            resume(key)
            record(current_account(request), current_person(request), "key.resumed", str(key))
        messages.success(request, f"“{key.name}” (…{key.last_four}) works again.")
    return redirect("keys")


def _key_or_404(request: HttpRequest, pk: int) -> ApiKey:
    return get_object_or_404(ApiKey, pk=pk, account=current_account(request), is_playground=False)


def _refuse_unusable(request: HttpRequest, key: ApiKey, status: str) -> HttpResponse:
    """Back to the list, which may be older than what happened to the key elsewhere."""
    hint = "Resume it first." if status == "suspended" else "Create a new key instead."
    messages.warning(request, f"“{key.name}” (…{key.last_four}) is {status}. {hint}")
    url = reverse("keys")
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Redirect": url})
    return redirect(url)


def _confirm(request: HttpRequest, key: ApiKey, form: Any, *, title: str, body: str) -> HttpResponse:
    """The same form in a dialog and, opened directly, on a page."""
    template = "components/modal.html" if request.htmx else "accounts/key_confirm.html"  # type: ignore[attr-defined]
    context = {
        "key": key,
        "form": form,
        "title": title,
        "body": body,
        "action": request.path,
        "cancel_url": reverse("keys"),
    }
    return render(request, template, context, status=422 if form.errors else 200)


def _show_secret(
    request: HttpRequest, key: ApiKey, secret: str, replaced: ApiKey | None = None
) -> HttpResponse:
    return render(request, "accounts/key_created.html", {"key": key, "secret": secret, "replaced": replaced})


def _is_first_use(request: HttpRequest, form_id: str) -> bool:
    """Remember the form's id; False if it was sent before, as reloading the response does."""
    used = request.session.get("used_forms", [])
    if form_id in used:
        return False
    request.session["used_forms"] = [*used, form_id][-_FORMS_REMEMBERED:]
    return True


def _already_created(request: HttpRequest) -> HttpResponse:
    messages.info(request, "That key was already created, and its secret is shown only once.")
    return redirect("keys")
