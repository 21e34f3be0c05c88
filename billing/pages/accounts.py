"""Accounts for operators: search, plan, and the limits that override the plan's. Staff only."""

from functools import partial

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import current_person, staff_required
from accounts.audit import record
from accounts.caller_lookup import forget_caller, limits_in_force
from accounts.models import Account
from billing.ledger.windows import totals
from billing.models import Window
from billing.pages.forms import AccountLimitsForm, changes

_SHOWN = 50


@require_safe
@staff_required
def accounts(request: HttpRequest) -> HttpResponse:
    """`q` looks in names and members' addresses; newest first."""
    text = request.GET.get("q", "").strip().replace("\x00", "")[:120]
    matches = Account.objects.select_related("plan").order_by("-pk")
    if text:
        matches = matches.filter(Q(name__icontains=text) | Q(members__email__icontains=text)).distinct()
    page = list(matches[:_SHOWN])
    now = timezone.now()
    windows = Window.objects.filter(
        scope=Window.Scope.ACCOUNT,
        scope_id__in=[account.pk for account in page],
        period=Window.Period.MONTH,
        starts_at__lte=now,
        ends_at__gt=now,
    )
    spent = {window.scope_id: window.spent_usd for window in totals(windows)}
    rows = [{"account": account, "spent": spent.get(account.pk, 0)} for account in page]
    return render(request, "billing/operator_accounts.html", {"rows": rows, "q": text, "shown": _SHOWN})


@require_http_methods(["GET", "HEAD", "POST"])
@staff_required
def account(request: HttpRequest, pk: int) -> HttpResponse:
    target = get_object_or_404(Account.objects.select_related("plan"), pk=pk)
    form = AccountLimitsForm(request.POST if request.method == "POST" else None, instance=target)
    if form.is_bound and form.is_valid():
        if form.changed_data:
            with transaction.atomic():
                target.save(update_fields=list(form.fields))
                record(target, current_person(request), "limits.changed", target.name, changes(form))
                digests = list(target.keys.values_list("digest", flat=True))
                for digest in digests:
                    transaction.on_commit(partial(forget_caller, digest))
        messages.success(request, f"Saved. {target.name} follows within 2 seconds.")
        return redirect("operator_account", pk=pk)
    context = {
        "form": form,
        "shown": Account.objects.select_related("plan").get(pk=pk),
        "in_force": limits_in_force(target),
        "members": target.members.order_by("email"),
    }
    return render(request, "billing/operator_account.html", context, status=422 if form.errors else 200)
