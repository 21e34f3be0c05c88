"""Learning: what have you learnt about us? And: stop, keep, forget, hand it over."""

from dataclasses import asdict
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.access import account_required, change_required, current_person, may_change
from accounts.audit import record
from routing.learning.account import applied, explained, forget, learnt, mode_of, set_mode
from routing.learning.models import Learning
from routing.learning.posteriors import BOUND, GATES, HALF_LIFE, Posterior
from routing.pages.page_request import PageRequest

_Mode = Learning.Mode
MODES = (
    (_Mode.ON, "On", "New outcomes change decisions, within the bound."),
    (_Mode.FROZEN, "Frozen", "What was learnt until now counts; new outcomes change nothing."),
    (_Mode.OFF, "Off", "Outcomes are kept, and change nothing."),
)


@require_GET
@account_required
def learning(request: PageRequest) -> HttpResponse:
    now, mode = timezone.now(), mode_of(request.account.pk)
    found = learnt(request.account.pk, now)
    counts = applied(request.account.pk, now)
    context = {
        "mode": mode,
        "modes": MODES,
        "sentence": explained(mode, found),
        "skills": _by_skill(found, counts),
        "outcomes": sum(one.outcomes for one in found),
        "moved": len(counts),
        "bound": BOUND,
        "gates": sorted(GATES),
        "half_life_days": HALF_LIFE.days,
        "may_change": may_change(request),
    }
    return render(request, "pages/learning/page.html", context)


@require_POST
@change_required
def change_mode(request: PageRequest) -> HttpResponse:
    wanted = request.POST.get("mode", "")
    if wanted not in _Mode.values:
        return HttpResponseBadRequest("mode must be on, frozen or off.")
    with transaction.atomic():
        before = mode_of(request.account.pk)
        set_mode(request.account.pk, _Mode(wanted), timezone.now())
        record(
            request.account, current_person(request), "learning.changed", detail={"mode": [before, wanted]}
        )
    messages.success(request, f"Learning is {wanted} now. Web processes know within a minute.")
    return redirect("learning")


@require_POST
@change_required
def forget_all(request: PageRequest) -> HttpResponse:
    with transaction.atomic():
        forget(request.account.pk)
        record(request.account, current_person(request), "learning.forgotten")
    messages.success(request, "All outcomes and feedback of the account are forgotten.")
    return redirect("learning")


@require_GET
@account_required
def export(request: PageRequest) -> JsonResponse:
    """All of it, as it counts now."""
    now = timezone.now()
    whole = {
        "at": now,
        "mode": mode_of(request.account.pk),
        "learnt": [asdict(one) for one in learnt(request.account.pk, now)],
        "applied": dict(applied(request.account.pk, now)),
    }
    headers = {"Content-Disposition": 'attachment; filename="learning.json"', "Cache-Control": "no-store"}
    return JsonResponse(whole, json_dumps_params={"indent": 2}, headers=headers)


def _by_skill(found: list[Posterior], counts: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    """Skills by name, each with its arms, most evidence first, and the shift that counts now."""
    ordered = sorted(found, key=lambda one: one.skill)
    return [
        (
            skill,
            [asdict(one) | {"counts": counts.get(f"{one.arm}|{one.skill}", 0.0)} for one in arms],
        )
        for skill, arms in groupby(ordered, key=lambda one: one.skill)
    ]
