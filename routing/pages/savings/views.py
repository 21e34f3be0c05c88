"""The Savings page: cost against the account's baseline, and what each strategy would have cost."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.access import account_required
from billing.pages.download import file_response
from billing.reports.export import nine
from routing.language.chat import Strategy
from routing.pages.page_request import PageRequest
from routing.pages.savings.queries import DAYS, Savings
from routing.pages.savings.queries import savings as savings_of
from routing.replay.stored import latest, logged
from routing.replay.what_if import WhatIf, what_if

LOOKED_AT = 300  # newest requests a strategy is tried on: a second's work at most
_DEFAULT_DAYS = 30
_json = msgspec.json.Encoder(decimal_format="number")


@require_GET
@account_required
def savings(request: PageRequest) -> HttpResponse:
    report = _report(request, timezone.now())
    context = {
        "account": request.account,
        "savings": report,
        "baseline": request.account.baseline_model,
        "periods": [(days, f"{reverse('savings')}?days={days}") for days in DAYS],
        "strategies_url": reverse("savings_strategies"),
        "json_url": f"{reverse('savings_json')}?days={report.days}",
    }
    return render(request, "pages/savings/page.html", context)


@require_GET
@account_required
def strategies(request: PageRequest) -> HttpResponse:
    """The result of each strategy on the newest decisions; the page loads this part after itself."""
    decisions = logged(latest(request.account.pk, None), LOOKED_AT)
    rows = [(strategy, what_if(decisions, strategy)) for strategy in Strategy]
    context = {
        "rows": [(name, result) for name, result in rows if result is not None],
        "count": len(decisions),
    }
    return render(request, "pages/savings/_strategies.html", context)


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
    days = request.GET.get("days", "")
    known = int(days) if days in map(str, DAYS) else _DEFAULT_DAYS
    return savings_of(request.account, known, now)


def _plain(result: WhatIf | None) -> Any:
    return None if result is None else msgspec.to_builtins(result)
