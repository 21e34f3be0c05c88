"""The Learning page: what outcomes taught, the mode switch, deletion and the JSON export."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required, change_required, current_person, may_change
from accounts.audit import record
from accounts.forms.keys import ConfirmNameForm
from routing.learning.account import account_posteriors, active_shifts, explain, forget, mode_of, set_mode
from routing.learning.models import Learning
from routing.learning.posteriors import BOUND, GATES, HALF_LIFE, Posterior
from routing.pages.page_request import PageRequest

_Mode = Learning.Mode
_MOST_MOVES = 20  # shown
_BOUND_POINTS = round(BOUND * 100)
MODES = (
    (
        _Mode.ON,
        "On",
        f"New outcomes move a model's chance of a good answer, by at most {_BOUND_POINTS} percentage points.",
    ),
    (_Mode.FROZEN, "Frozen", "What was learned so far still counts; new outcomes change nothing."),
    (_Mode.OFF, "Off", "Outcomes are stored but change nothing."),
)


@require_GET
@account_required
def learning(request: PageRequest) -> HttpResponse:
    now, mode = timezone.now(), mode_of(request.account.pk)
    posteriors = account_posteriors(request.account.pk, now)
    shifts = active_shifts(request.account.pk, now)
    context = {
        "mode": mode,
        "modes": MODES,
        "sentence": explain(mode, posteriors),
        "skills": _by_skill(posteriors, shifts),
        "moves": _moves(posteriors, shifts),
        "outcomes": sum(posterior.outcomes for posterior in posteriors),
        "moved": len(shifts),
        "bound_points": _BOUND_POINTS,
        "bound_example": 80 + _BOUND_POINTS,
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


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def forget_all(request: PageRequest) -> HttpResponse:
    """Delete all outcomes and feedback once the account's name is typed; in a dialog and on a page alike."""
    form = ConfirmNameForm(request.POST or None, expected=request.account.name)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            forget(request.account.pk)
            record(request.account, current_person(request), "learning.forgotten")
        messages.success(request, "All outcomes and feedback of this account were deleted.")
        return redirect("learning")
    template = "components/modal.html" if request.htmx else "pages/learning/forget.html"
    context = {
        "form": form,
        "account": request.account,
        "title": "Forget everything learned",
        "body": "pages/learning/_forget.html",
        "action": reverse("learning_forget"),
        "cancel_url": reverse("learning"),
    }
    return render(request, template, context, status=422 if form.errors else 200)


@require_GET
@account_required
def export(request: PageRequest) -> JsonResponse:
    """Everything learnt about the account and the shifts in force, as JSON."""
    now = timezone.now()
    document = {
        "at": now,
        "mode": mode_of(request.account.pk),
        "learnt": [asdict(posterior) for posterior in account_posteriors(request.account.pk, now)],
        "applied": dict(active_shifts(request.account.pk, now)),
    }
    headers = {"Content-Disposition": 'attachment; filename="learning.json"', "Cache-Control": "no-store"}
    return JsonResponse(document, json_dumps_params={"indent": 2}, headers=headers)


@dataclass(frozen=True)
class Move:
    """A chance of a good answer that outcomes moved by `shift`; the bar starts in the middle of 200."""

    posterior: Posterior
    shift: float

    @property
    def width(self) -> float:
        return round(min(abs(self.shift) / BOUND, 1.0) * 100, 1)

    @property
    def x(self) -> float:
        return 100.0 if self.shift > 0 else 100.0 - self.width


def _moves(posteriors: list[Posterior], shifts: Mapping[str, float]) -> list[Move]:
    """The largest shifts in force."""
    moves = [
        Move(posterior, shift)
        for posterior in posteriors
        if (shift := shifts.get(f"{posterior.arm}|{posterior.skill}", 0.0))
    ]
    return sorted(moves, key=lambda move: -abs(move.shift))[:_MOST_MOVES]


def _by_skill(
    posteriors: list[Posterior], shifts: Mapping[str, float]
) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Skills by name, each summed up, with its arms, most evidence first, and the shift in force."""
    ordered = sorted(posteriors, key=lambda posterior: posterior.skill)
    groups = [
        (skill, [asdict(arm) | {"counts": shifts.get(f"{arm.arm}|{arm.skill}", 0.0)} for arm in arms])
        for skill, arms in groupby(ordered, key=lambda posterior: posterior.skill)
    ]
    return [(skill, _summed_up(arms), arms) for skill, arms in groups]


def _summed_up(arms: list[dict[str, Any]]) -> str:
    """How many outcomes, and of how many models or efforts."""
    outcomes = sum(arm["outcomes"] for arm in arms)
    of = "one model" if len(arms) == 1 else f"{len(arms)} models and efforts"
    return f"{outcomes:,} outcome{'' if outcomes == 1 else 's'} of {of}"
