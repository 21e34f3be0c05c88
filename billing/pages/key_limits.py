"""A key's own limits: set by owners and admins, in force within 2 seconds everywhere."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import change_required, current_account, current_person
from accounts.audit import record
from accounts.caller_lookup import forget_caller
from accounts.models import ApiKey
from billing.pages.forms import LIMITS, KeyLimitsForm, changes


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
def key_limits(request: HttpRequest, pk: int) -> HttpResponse:
    account = current_account(request)
    key = get_object_or_404(ApiKey, pk=pk, account=account, revoked_at=None)
    form = KeyLimitsForm(request.POST if request.method == "POST" else None, instance=key)
    if form.is_bound and form.is_valid():
        if form.changed_data:
            with transaction.atomic():
                key.save(update_fields=list(LIMITS))
                record(account, current_person(request), "limits.changed", str(key), changes(form))
                transaction.on_commit(lambda: forget_caller(key.digest))
        messages.success(request, f"Saved. {key.name} follows within 2 seconds.")
        return redirect("limits")
    context = {"form": form, "key": key, "account": account}
    return render(request, "billing/key_limits.html", context, status=422 if form.errors else 200)
