"""One request: why that model, its attempts, its cost, and what other models would have cost."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Prefetch
from django.http import Http404, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.access import account_required, change_required, current_person, may_change
from accounts.audit import record
from accounts.models import Account
from billing.content.store import content_of
from billing.models import Attempt, Request
from billing.refusals import queries as refusals
from routing.catalog.live import catalog
from routing.learning.feedback import give_feedback
from routing.learning.models import Feedback
from routing.pages.page_request import PageRequest
from routing.pages.request_detail.counterfactual import counterfactuals, usage_lines, usage_of
from routing.pages.request_detail.explanation import (
    Explanation,
    points,
    read_fidelity,
    read_trace,
    sorted_candidates,
)
from routing.pages.request_detail.other_strategies import other_strategies
from routing.pages.request_detail.rivals import rivals, scores
from routing.pages.request_detail.scatter import scatter
from routing.pages.request_detail.summaries import summaries
from routing.pages.request_detail.timeline import timeline
from routing.pages.request_detail.verdict import verdict
from routing.pages.requests.paging import Cursor, newer_than, older_than
from routing.replay import alternatives

_THUMBS = {"up": 1.0, "down": 0.0}
COMPARED = 8  # models whose cost for the same tokens is shown
SHOWN = 12  # candidates shown before the rest is opened
_SORT_TITLES = (
    ("success", "Chance of a good answer"),
    ("cost", "Expected cost"),
    ("latency", "Expected time"),
    ("up", "Availability"),
)


@require_GET
@account_required
def request_page(request: PageRequest, request_id: str) -> HttpResponse:
    try:
        row = _row(request.account, request_id)
    except Http404:
        refused = refusals.find(request.account.pk, request_id) if request_id.isprintable() else None
        if refused is None:
            raise
        return render(request, "pages/request_detail/refused.html", {"row": refused})
    attempts = list(row.attempts.all())
    explanation = read_trace(row.trace)
    reasons = alternatives.reasons(row.trace)
    failed = [attempt for attempt in attempts if attempt.outcome == Attempt.Outcome.FAILED]
    newer, older = _neighbours(row)
    sort = request.GET.get("sort", "")
    answered = _arm(row.served_model, row.served_effort)
    expected = next((entry for entry in explanation.ranked if entry.arm == answered), None)
    ranked = sorted_candidates(explanation.ranked, sort)
    content = content_of(row)
    saved_usd = _saved_usd(row)
    fidelity = read_fidelity(row.fidelity)
    strategies = other_strategies(row.trace)
    others = counterfactuals(row, _compared_models(row, explanation), catalog.price_book)
    context = {
        "row": row,
        "content": content,
        "may_rate": may_change(request),
        "explanation": explanation,
        "fidelity": fidelity,
        "attempts": attempts,
        "timeline": timeline(row, attempts),
        "verdict": verdict(row, explanation.reason, expected, len(failed)),
        "rivals": rivals(explanation, alternatives.of_stored(row.trace), reasons),
        "strategies": strategies,
        "scores": scores(explanation),
        "newer": newer,
        "older": older,
        "scatter": scatter(points(explanation, reasons)),
        "expected": expected,
        "sort": sort,
        "sorts": _SORT_TITLES,
        "input_tokens": usage_of(row).input_tokens,
        "metadata": sorted(row.metadata.items()) if isinstance(row.metadata, dict) else [],
        "ranked": ranked[:SHOWN],
        "ranked_rest": ranked[SHOWN:],
        "answered_arm": answered,
        "usage": usage_lines(row),
        "others": others,
        "summaries": summaries(row, content, explanation, strategies, others, fidelity),
        "saved_usd": saved_usd,
        "saved_share": saved_usd / row.baseline_usd if saved_usd is not None and row.baseline_usd else None,
        "score": _score(row),
        "failed_attempts": failed,
    }
    return render(request, "pages/request_detail/page.html", context)


@require_GET
@account_required
def raw(request: PageRequest, request_id: str) -> JsonResponse:
    """Every stored column of the request and its attempts; money as exact decimal text."""
    row = _row(request.account, request_id)
    attempts = [_columns(attempt) for attempt in row.attempts.all()]
    return JsonResponse(
        _columns(row) | {"attempts": attempts}, json_dumps_params={"indent": 2, "ensure_ascii": False}
    )


@require_POST
@change_required
def feedback(request: PageRequest, request_id: str) -> HttpResponse:
    """A thumb up or down from the dashboard; the latest counts."""
    row = _row(request.account, request_id)
    score = _THUMBS.get(request.POST.get("thumb", ""))
    if score is None:
        return HttpResponseBadRequest("thumb must be up or down.")
    with transaction.atomic():
        give_feedback(row, score)
        record(request.account, current_person(request), "request.rated", row.pk, {"score": score})
    if getattr(request, "htmx", False):
        return render(request, "pages/request_detail/_feedback.html", {"row": row, "score": score})
    return redirect("request", request_id=row.pk)


def _neighbours(row: Request) -> tuple[str | None, str | None]:
    """The ids of the account's next newer and next older request."""
    own = Request.objects.filter(account_id=row.account_id)
    place = Cursor(row.created_at, row.pk)
    newer = own.filter(newer_than(place)).order_by("created_at", "id").values_list("pk", flat=True).first()
    older = own.filter(older_than(place)).order_by("-created_at", "-id").values_list("pk", flat=True).first()
    return newer, older


def _score(row: Request) -> float | None:
    """The feedback given on the dashboard, 0 to 1, or None."""
    feedback = Feedback.objects.filter(request=row, key=None).first()
    return None if feedback is None else feedback.score


def _row(account: Account, request_id: str) -> Request:
    """The account's request with key and attempts. Another account's request is a 404 too."""
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    rows = Request.objects.filter(account=account, id=request_id).select_related("key")
    row = rows.prefetch_related(attempts).first()
    if row is None:
        raise Http404("No such request in this account.")
    return row


def _compared_models(row: Request, explanation: Explanation) -> list[str]:
    """The baseline and the models of the best candidates."""
    models = dict.fromkeys([row.baseline_model, *(candidate.model for candidate in explanation.ranked)])
    return [model for model in models if model and model != row.served_model][:COMPARED]


def _saved_usd(row: Request) -> Decimal | None:
    if row.baseline_usd is None or row.cost_usd is None:
        return None
    return row.baseline_usd - row.cost_usd


def _columns(row: Request | Attempt) -> dict[str, Any]:
    return {field.attname: _plain(getattr(row, field.attname)) for field in row._meta.concrete_fields}


def _plain(value: Any) -> Any:
    """Decimals digit for digit; the rest as Django's JSON encoder writes it."""
    return format(value, "f") if isinstance(value, Decimal) else value


def _arm(model: str, effort: str) -> str:
    return f"{model}@{effort}" if effort else model
