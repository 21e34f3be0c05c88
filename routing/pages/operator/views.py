"""The Operator page: state of the whole installation, price decisions, ledger checks. Staff only."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import current_person, staff_required
from accounts.models import AuditEntry
from billing.alerts.job_runs import job_states
from billing.checks.audit import LATELY, alert_violations, audit, last_audit, store_audit
from billing.models import PriceProposal, Repricing
from billing.prices.forms import PriceForm, TierForms, tiers_of
from billing.prices.proposals import AlreadyDecided, accept, current_tiers, enter_price, from_json, reject
from routing.catalog.models import Model
from routing.learning.calibration import calibration
from routing.learning.distribution import COLLAPSE_REQUESTS, COLLAPSE_SHARE, distribution
from routing.pages.assistant.models import SupportMessage
from routing.pages.operator import queries
from routing.pages.operator.chart import plot

_SHOWN = 8


@require_safe
@staff_required
def operator(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    outcomes = calibration(now)
    undecided = PriceProposal.objects.filter(decided_at=None)
    context = {
        "now": now,
        "providers": queries.providers(now),
        "traffic": queries.traffic(now),
        "unpriced": queries.unpriced_by_model(now),
        "distribution": distribution(now),
        "calibration": outcomes,
        "calibration_plot": plot(outcomes),
        "jobs": job_states(now),
        "collapse": {"share": COLLAPSE_SHARE, "requests": COLLAPSE_REQUESTS},
        "processes": queries.web_processes(),
        "statements": queries.slow_statements(),
        "support": SupportMessage.objects.filter(closed_at=None).count(),
        "audit": last_audit(),
        "proposals": [_shown(proposal) for proposal in undecided.order_by("model")],
        "repricings": Repricing.objects.order_by("-pk")[:_SHOWN],
        "entries": AuditEntry.objects.filter(account=None).order_by("-pk")[:_SHOWN],
    }
    return render(request, "pages/operator/page.html", context)


@require_POST
@staff_required
def audit_now(request: HttpRequest) -> HttpResponse:
    """Run the ledger audit over the last 48 hours now."""
    now = timezone.now()
    result = audit(now, now - LATELY)
    store_audit(result)
    alert_violations(result)
    if result.violations:
        messages.error(request, f"{result.violations} violations of ledger invariants, see below.")
    else:
        messages.success(request, "All ledger invariants hold.")
    return redirect(reverse("operator") + "#invariants")


@require_POST
@staff_required
def proposal_accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept the listed price; a model that is no longer listed is switched off instead."""
    proposal = get_object_or_404(PriceProposal, pk=pk)
    try:
        start = _moment(request.POST.get("effective_from", ""))
        with transaction.atomic():
            accept(proposal, current_person(request), timezone.now(), start)
            if proposal.kind == PriceProposal.Kind.VANISHED:
                Model.objects.filter(pk=proposal.model).update(enabled=False)
    except (AlreadyDecided, ValueError) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"Accepted for {proposal.model}.")
    return redirect(reverse("operator") + "#prices")


@require_POST
@staff_required
def proposal_reject(request: HttpRequest, pk: int) -> HttpResponse:
    proposal = get_object_or_404(PriceProposal, pk=pk)
    try:
        reject(proposal, current_person(request), timezone.now())
    except AlreadyDecided as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"The price of {proposal.model} stays as it is.")
    return redirect(reverse("operator") + "#prices")


@require_http_methods(["GET", "HEAD", "POST"])
@staff_required
def price_new(request: HttpRequest) -> HttpResponse:
    """Enter a price by hand."""
    now = timezone.now()
    ids = set(Model.objects.values_list("id", flat=True))
    ids |= set(PriceProposal.objects.values_list("model", flat=True))
    with timezone.override("UTC"):
        initial = _initial(request.GET.get("model", ""), now)
        form = PriceForm(request.POST or None, models=ids, initial=initial["base"])
        more = TierForms(request.POST or None, prefix="tiers", initial=initial["more"])
        if request.method == "POST" and form.is_valid() and more.is_valid():
            start = form.cleaned_data["effective_from"] or now
            model = form.cleaned_data["model"]
            enter_price(model, tiers_of(form, more), start, current_person(request), now)
            messages.success(request, f"The price of {model} is in force from {start:%Y-%m-%d %H:%M} UTC.")
            return redirect(reverse("operator") + "#prices")
    context = {"form": form, "more": more, "model_ids": sorted(ids)}
    is_refused = form.is_bound and (form.errors or more.total_error_count())
    return render(request, "pages/operator/price.html", context, status=422 if is_refused else 200)


def _initial(model: str, now: datetime) -> dict[str, Any]:
    """The form's initial values: the price in force."""
    tiers = current_tiers(model, now) if model else None
    if not tiers:
        return {"base": {"model": model}, "more": []}
    (_, base), *more = tiers
    base_prices = {name: f"{usd.normalize():f}" for name, usd in base.items()}
    return {
        "base": {"model": model, **base_prices},
        "more": [
            {"over": over, **{name: f"{usd.normalize():f}" for name, usd in prices.items()}}
            for over, prices in more
        ],
    }


def _moment(text: str) -> datetime | None:
    """A form's time in UTC, or None for an empty text. Raises ValueError."""
    if not text:
        return None
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError("That is not a time, such as 2026-12-01T00:00.")
    return (
        timezone.make_aware(moment, timezone.get_fixed_timezone(0)) if timezone.is_naive(moment) else moment
    )


def _shown(proposal: PriceProposal) -> dict[str, Any]:
    """A proposal with its tiers side by side: the price in force and the listed price."""
    ours = dict(from_json(proposal.current or []))
    theirs = dict(from_json(proposal.proposed or []))
    tiers = [
        {
            "over": over,
            "classes": [
                (name.replace("_", " "), ours.get(over, {}).get(name), theirs.get(over, {}).get(name))
                for name in ("uncached_input", "cache_read", "cache_write", "output")
            ],
        }
        for over in sorted({*ours, *theirs})
    ]
    return {
        "proposal": proposal,
        "tiers": tiers,
        "can_accept": bool(proposal.proposed) or proposal.kind == "vanished",
    }
