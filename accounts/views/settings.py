"""The Settings page: the account's defaults and the person's profile."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import (
    account_required,
    current_account,
    current_member,
    current_person,
    may_change,
)
from accounts.audit import record
from accounts.forms.settings import AccountForm, PersonForm
from accounts.models import Account, Member


@require_http_methods(["GET", "HEAD", "POST"])
@account_required
def settings(request: HttpRequest) -> HttpResponse:
    """Two forms on one page; the button that was pressed names the one that is saved."""
    account = current_account(request)
    saves_account = request.method == "POST" and "save_account" in request.POST
    saves_person = request.method == "POST" and "save_person" in request.POST
    if saves_account and not may_change(request):
        raise PermissionDenied("Viewers can look at this account but not change it.")
    # A form writes into its object also what it refuses; the frame of the page shows the account as it is.
    checked = Account.objects.get(pk=account.pk)
    account_form = AccountForm(request.POST if saves_account else None, instance=checked)
    person_form = PersonForm(request.POST if saves_person else None, instance=current_person(request))
    for form in (account_form, person_form):
        if form.is_bound and form.is_valid():
            with transaction.atomic():
                form.save()
                if saves_account and form.changed_data:
                    record(account, current_person(request), "settings.changed", account.name, _changes(form))
            messages.success(request, "Saved. Keys follow within 2 seconds." if saves_account else "Saved.")
            return redirect("settings")
    context = {
        "account": account,
        "account_form": account_form,
        "person_form": person_form,
        "may_change": may_change(request),
        "may_delete": current_member(request).role == Member.Role.OWNER,
    }
    is_refused = account_form.errors or person_form.errors
    return render(request, "accounts/settings.html", context, status=422 if is_refused else 200)


def _changes(form: AccountForm | PersonForm) -> dict[str, list[str]]:
    """By field: before and after."""
    pairs = {name: [str(form.initial[name]), str(form.cleaned_data[name])] for name in form.changed_data}
    # A field that was not sent counts as changed, even if its default is what it was.
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
