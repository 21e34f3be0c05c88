"""The playground's page: the form, the decision before sending, the answers, the request as code.

With a script, each column is a request of its own: its answer is streamed as events, whose HTML is rendered
here. Without one, the form posts to the page and shows the first column's whole answer.
"""

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import current_account, may_change
from accounts.caller import Caller
from accounts.caller_lookup import caller_of
from accounts.keys import KeyNotUsable, playground_key
from core.errors import ApiError
from routing.decide.decision import Decision
from routing.language.ids import new_request_id
from routing.pages.event_stream import EventStream, wants_events
from routing.pages.model_text import safe_html
from routing.pages.playground.answers import Begun, Done, Event, Piece, Refused, send
from routing.pages.playground.code import samples
from routing.pages.playground.forms import MOST_COLUMNS, PromptForm, Target, target_of, targets
from routing.pipeline import preview

_USUAL_TARGETS = ("strategy:auto",)
_SPARE_TARGET = "strategy:cost"  # of a column to be added
_RIVALS = 3  # candidates shown beside the chosen one


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@vary_on_headers("Accept")
@login_required
async def playground(request: HttpRequest) -> HttpResponseBase:
    """GET shows the form, filled in from the query. POST answers: as events, or whole on the page."""
    if request.method != "POST":
        return await sync_to_async(_page)(request, PromptForm(initial=_from_query(request)))
    caller, form = await sync_to_async(_sender)(request), PromptForm(request.POST)
    target = target_of(request.POST.get("target", _USUAL_TARGETS[0]))
    if not form.is_valid() or target is None:
        problem = _problem(form, target)
        if wants_events(request):
            return JsonResponse({"error": problem}, status=422)
        return await sync_to_async(_page)(request, form, problem=problem)
    if wants_events(request):
        return EventStream(_payloads(form, target, caller))
    return await sync_to_async(_page)(request, form, **await _whole(form, target, caller))


@require_POST
@login_required
async def decision(request: HttpRequest) -> HttpResponse:
    """The decision for one column, as HTML. It is free, and counts in the rate limits."""
    caller, form = await sync_to_async(_sender)(request), PromptForm(request.POST)
    target = target_of(request.POST.get("target", ""))
    if not form.is_valid() or target is None:
        return _fragment(request, "_problem", {"problem": _problem(form, target)})
    started = time.monotonic()
    try:
        steering = target.steering(test_mode=form.cleaned_data["test_mode"], stream=True)
        decided = await preview(form.chat_request(), steering, caller, new_request_id())
    except ApiError as error:
        return _fragment(request, "_problem", {"error": error})
    took_ms = (time.monotonic() - started) * 1000
    return _fragment(request, "_decision", _decision(decided) | {"took_ms": took_ms})


@require_POST
@login_required
async def code(request: HttpRequest) -> HttpResponse:
    """One column's request as code, as HTML. Sends nothing."""
    form, target = PromptForm(request.POST), target_of(request.POST.get("target", ""))
    if not form.is_valid() or target is None:
        return _fragment(request, "_problem", {"problem": _problem(form, target)})
    base_url = request.build_absolute_uri("/").rstrip("/")
    return _fragment(request, "_code", {"samples": samples(form.body(target), base_url)})


def _sender(request: HttpRequest) -> Caller:
    """The caller that stands for the account's playground. Raises PermissionDenied for viewers."""
    request.account = current_account(request)  # type: ignore[attr-defined]
    if not may_change(request):
        raise PermissionDenied("Viewers can look at this account but not send requests.")
    try:
        return caller_of(playground_key(current_account(request)))
    except KeyNotUsable as error:
        raise PermissionDenied(str(error)) from None


def _page(request: HttpRequest, form: PromptForm, **more: Any) -> HttpResponse:
    request.account = current_account(request)  # type: ignore[attr-defined]
    chosen = request.POST.getlist("target") or request.GET.getlist("target")
    known = _targets(chosen)[:MOST_COLUMNS]
    context = {
        "form": form,
        "columns": known or _targets(_USUAL_TARGETS),
        "spare": target_of(_SPARE_TARGET),
        "groups": targets(),
        "most_columns": MOST_COLUMNS,
        "may_send": may_change(request),
    }
    status = 422 if "problem" in more else 200
    return render(request, "pages/playground/page.html", context | more, status=status)


def _targets(values: Iterable[str]) -> list[Target]:
    return [target for value in values if (target := target_of(value))]


def _from_query(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in PromptForm.base_fields if name in request.GET}


def _problem(form: PromptForm, target: Target | None) -> str:
    """The form's errors, in a sentence for each field."""
    if target is None:
        return "Choose a strategy or a model that is offered here."
    problems = []
    for name, errors in form.errors.items():
        label = form.fields[name].label or name.capitalize()
        problems += [str(error) if name == "prompt" else f"{label}: {error}" for error in errors]
    return " ".join(problems)


async def _whole(form: PromptForm, target: Target, caller: Caller) -> dict[str, Any]:
    """The parts of a column whose answer has ended."""
    parts: dict[str, Any] = {"answered": target.value}
    async with aclosing(_events(form, target, caller)) as events:
        async for event in events:
            match event:
                case Begun():
                    parts |= _decision(event.decision)
                case Done():
                    parts |= _done(event)
                case Refused():
                    parts |= {"error": event.error, "request_id": event.request_id}
    return parts


async def _payloads(form: PromptForm, target: Target, caller: Caller) -> AsyncGenerator[dict[str, Any]]:
    async with aclosing(_events(form, target, caller)) as events:
        async for event in events:
            yield _payload(event)


def _payload(event: Event) -> dict[str, Any]:
    match event:
        case Begun():
            return {"type": "begun", "html": _rendered("_decision", _decision(event.decision))}
        case Piece():
            return {"type": "piece", "text": event.text}
        case Done():
            parts = _done(event)
            return {"type": "done", "answer": parts["html"], "html": _rendered("_facts", parts)}
        case Refused():
            parts = {"error": event.error, "request_id": event.request_id}
            return {"type": "refused", "html": _rendered("_problem", parts)}


def _events(form: PromptForm, target: Target, caller: Caller) -> AsyncGenerator[Event]:
    steering = target.steering(test_mode=form.cleaned_data["test_mode"], stream=True)
    return send(form.chat_request(), steering, caller)


def _decision(decided: Decision) -> dict[str, Any]:
    trace = decided.trace
    ranked = [entry for entry in trace.candidates if entry.removed is None]
    chosen = next((entry for entry in ranked if entry.arm == trace.chain[0]), None)
    rivals = [entry for entry in ranked if entry is not chosen][:_RIVALS]
    return {"decision": trace, "chosen": chosen, "rivals": rivals, "expected": decided.forecast[0]}


def _done(event: Done) -> dict[str, Any]:
    html = mark_safe(safe_html(event.text))  # noqa: S308 - rendered without raw HTML
    return {"settled": event.settled, "request_id": event.request_id, "html": html}


def _fragment(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    return HttpResponse(_rendered(name, context))


def _rendered(name: str, context: dict[str, Any]) -> str:
    return render_to_string(f"pages/playground/{name}.html", context)
