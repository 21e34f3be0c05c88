"""Savings: was routing worth it? Beside the account's baseline, and what strategies would have done."""

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
    found = _found(request, timezone.now())
    context = {
        "account": request.account,
        "found": found,
        "baseline": request.account.baseline_model,
        "periods": [(days, f"{reverse('savings')}?days={days}") for days in DAYS],
        "strategies_url": reverse("savings_strategies"),
        "json_url": f"{reverse('savings_json')}?days={found.days}",
    }
    return render(request, "pages/savings/page.html", context)


@require_GET
@account_required
def strategies(request: PageRequest) -> HttpResponse:
    """What each strategy would have come to; a part of the page that is asked for after it."""
    seen = logged(latest(request.account.pk, None), LOOKED_AT)
    rows = [(strategy, what_if(seen, strategy)) for strategy in Strategy]
    context = {"rows": [(name, told) for name, told in rows if told is not None], "count": len(seen)}
    return render(request, "pages/savings/_strategies.html", context)


@require_GET
@account_required
def as_json(request: PageRequest) -> HttpResponse:
    found = _found(request, timezone.now())
    seen = logged(latest(request.account.pk, None), LOOKED_AT)
    whole = {
        "from": found.since,
        "to": found.until,
        "baseline_model": request.account.baseline_model or None,
        "requests": found.requests,
        "compared_requests": found.compared,
        "paid_usd": nine(found.paid),
        "baseline_usd": nine(found.baseline),
        "saved_usd": nine(found.saved),
        "saved_interval_usd": None
        if found.low is None
        else [nine(found.low), nine(found.high or Decimal(0))],
        "quality": found.quality,
        "strategies": {strategy: _plain(what_if(seen, strategy)) for strategy in Strategy},
    }
    headers = {"Content-Disposition": 'attachment; filename="savings.json"', "Cache-Control": "no-store"}
    return HttpResponse(_json.encode(whole), content_type="application/json", headers=headers)


def _found(request: PageRequest, now: datetime) -> Savings:
    days = request.GET.get("days", "")
    known = int(days) if days in map(str, DAYS) else _DEFAULT_DAYS
    return savings_of(request.account, known, now)


def _plain(told: WhatIf | None) -> Any:
    return None if told is None else msgspec.to_builtins(told)
