"""The Savings page: cost against the account's baseline, and what each strategy would have cost."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required, change_required, current_person, may_change
from accounts.audit import record
from accounts.models import Account
from billing.pages.download import file_response
from billing.reports.export import nine
from routing.language.chat import Strategy
from routing.pages.page_request import PageRequest, is_fragment
from routing.pages.periods import DAYS, choices
from routing.pages.savings.chart import cumulative, dots
from routing.pages.savings.queries import FEWEST_DAYS, Savings
from routing.pages.savings.queries import savings as savings_of
from routing.replay.stored import latest, logged
from routing.replay.what_if import WhatIf, what_if

LOOKED_AT = 300  # newest requests a strategy is tried on: a second's work at most
_DEFAULT = "30d"
_json = msgspec.json.Encoder(decimal_format="number")


@require_GET
@account_required
def savings(request: PageRequest) -> HttpResponse:
    report = _report(request, timezone.now())
    context = {
        "account": request.account,
        "savings": report,
        "fewest_days": FEWEST_DAYS,
        "chart": cumulative(report, request.account.time_zone),
        "baseline": request.account.baseline_model,
        "periods": choices(_period(request)),
        "strategies_url": reverse("savings_strategies"),
        "json_url": f"{reverse('savings_json')}?period={_period(request)}",
    }
    return render(request, "pages/savings/page.html", context)


@require_GET
@account_required
@vary_on_headers("HX-Request")
def strategies(request: PageRequest) -> HttpResponse:
    """The result of each strategy on the newest decisions: a part of Savings, and a page of its own."""
    decisions = logged(latest(request.account.pk, None), LOOKED_AT)
    tried = [(strategy, what_if(decisions, strategy)) for strategy in Strategy]
    rows = [(str(strategy), result) for strategy, result in tried if result is not None]
    context = {
        "rows": rows,
        "dots": dots(rows, request.account.strategy),
        "count": len(decisions),
        "own": request.account.strategy,
        "may_change": may_change(request),
    }
    template = "pages/savings/_strategies.html" if is_fragment(request) else "pages/savings/strategies.html"
    return render(request, template, context)


@require_POST
@change_required
def default_strategy(request: PageRequest) -> HttpResponse:
    """Make a strategy the account's default."""
    wanted = request.POST.get("strategy", "")
    if wanted not in set(map(str, Strategy)):
        return HttpResponseBadRequest("strategy must be one of " + ", ".join(Strategy) + ".")
    before = request.account.strategy
    if wanted != before:
        with transaction.atomic():
            Account.objects.filter(pk=request.account.pk).update(strategy=wanted)
            changes = {"strategy": [before, wanted]}
            record(
                request.account, current_person(request), "settings.changed", request.account.name, changes
            )
    messages.success(request, f"The default strategy is {wanted}. Keys follow within 2 seconds.")
    return redirect("savings")


@require_GET
@account_required
def as_json(request: PageRequest) -> HttpResponse:
    report = _report(request, timezone.now())
    decisions = logged(latest(request.account.pk, None), LOOKED_AT)
    document = {
        "from": report.since,
        "to": report.until,
        "baseline_model": request.account.baseline_model or None,
        "requests": report.requests,
        "compared_requests": report.compared,
        "paid_usd": nine(report.paid),
        "baseline_usd": nine(report.baseline),
        "saved_usd": nine(report.saved),
        "saved_interval_usd": None
        if report.low is None
        else [nine(report.low), nine(report.high or Decimal(0))],
        "forecast_interval_usd": [nine(report.saved_low), nine(report.saved_high)],
        "requests_by_version": {"1": report.by_older_rule, "2": report.by_forecast},
        "quality": report.quality,
        "strategies": {strategy: _plain(what_if(decisions, strategy)) for strategy in Strategy},
    }
    return file_response(_json.encode(document), "application/json", "savings.json")


def _report(request: PageRequest, now: datetime) -> Savings:
    return savings_of(request.account, DAYS[_period(request)], now)


def _period(request: PageRequest) -> str:
    name = request.GET.get("period", "")
    return name if name in DAYS else _DEFAULT


def _plain(result: WhatIf | None) -> Any:
    return None if result is None else msgspec.to_builtins(result)
