"""Questions to the assistant, as a page or as a stream for the panel; support messages and their list."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from allauth.core import ratelimit
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.access import current_account, current_person, staff_required
from accounts.audit import record
from routing.pages.assistant.answers import Piece, Whole, answer_question
from routing.pages.assistant.forms import QuestionForm, SupportForm
from routing.pages.assistant.models import MOST_QUESTION, SupportMessage
from routing.pages.docs.library import library
from routing.pages.event_stream import EventStream, wants_events

_SHOWN = 100  # support messages
_TOO_MANY = "You have asked many questions in a short time. Wait a minute, then ask again."


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@vary_on_headers("Accept")
async def ask(request: HttpRequest) -> HttpResponseBase:
    """GET shows the form. POST answers, as events if the client accepts them, else as a page."""
    if request.method != "POST":
        return await sync_to_async(_page)(request, {"question": ""})
    is_stream = wants_events(request)
    form = QuestionForm(request.POST)
    if not form.is_valid():
        problem, status = " ".join(map(str, form.errors.get("question", ["Reload the page."]))), 422
    elif not await sync_to_async(ratelimit.consume)(request, action="ask"):
        problem, status = _TOO_MANY, 429
    else:
        question, previous = form.cleaned_data["question"], form.cleaned_data["previous"]
        if is_stream:
            return EventStream(_payloads(question, previous))
        whole = await _whole(question, previous)
        return await sync_to_async(_page)(request, {"question": question, "answer": whole})
    if is_stream:
        return JsonResponse({"error": problem}, status=status)
    unanswered = request.POST.get("question", "")[:MOST_QUESTION]
    return await sync_to_async(_page)(request, {"question": unanswered, "problem": problem}, status)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def support(request: HttpRequest) -> HttpResponse:
    """A message to the operators; `question` in the query is one that the assistant could not answer."""
    person = current_person(request) if request.user.is_authenticated else None
    question = request.GET.get("question", "")[:MOST_QUESTION]
    form = SupportForm(request.POST or None, initial={"email": person.email if person else ""})
    if request.method == "POST" and form.is_valid():
        if not ratelimit.consume(request, action="support"):
            limited: HttpResponse = ratelimit.respond_429(request)
            return limited
        SupportMessage.objects.create(
            account=current_account(request) if person else None,
            sender=person,
            question=question,
            **form.cleaned_data,
        )
        messages.success(request, "Your message was sent. The operators answer by e-mail.")
        return redirect("docs")
    if person is not None:
        request.account = current_account(request)  # type: ignore[attr-defined]
    return render(request, "pages/assistant/support.html", {"form": form, "question": question})


@require_safe
@staff_required
def support_messages(request: HttpRequest) -> HttpResponse:
    """Open messages, oldest first, then the newest closed ones."""
    rows = SupportMessage.objects.select_related("account", "closed_by")
    context = {
        "waiting": rows.filter(closed_at=None).order_by("created_at")[:_SHOWN],
        "closed": rows.exclude(closed_at=None).order_by("-closed_at")[:_SHOWN],
    }
    return render(request, "pages/assistant/messages.html", context)


@require_POST
@staff_required
def close_message(request: HttpRequest, pk: int) -> HttpResponse:
    message = get_object_or_404(SupportMessage, pk=pk, closed_at=None)
    message.closed_at, message.closed_by = timezone.now(), current_person(request)
    message.save(update_fields=["closed_at", "closed_by"])
    record(None, current_person(request), "support.closed", message.email)
    messages.success(request, f"The message of {message.email} is closed.")
    return redirect("support_messages")


def _page(request: HttpRequest, parts: dict[str, Any], status: int = 200) -> HttpResponse:
    if request.user.is_authenticated:
        request.account = current_account(request)  # type: ignore[attr-defined]
    whole = parts.get("answer")
    if isinstance(whole, Whole):
        parts["html"] = mark_safe(whole.html)  # noqa: S308 - rendered without raw HTML
    context = parts | {"library": library(), "groups": library().groups}
    return render(request, "pages/assistant/ask.html", context, status=status)


async def _whole(question: str, previous: str) -> Whole:
    async with aclosing(answer_question(question, previous)) as events:
        async for event in events:
            if isinstance(event, Whole):
                return event
    raise AssertionError("an answer ends with the whole of it")


async def _payloads(question: str, previous: str) -> AsyncGenerator[dict[str, Any]]:
    async with aclosing(answer_question(question, previous)) as events:
        async for event in events:
            yield _payload(event)


def _payload(event: Piece | Whole) -> dict[str, Any]:
    if isinstance(event, Piece):
        return {"type": "piece", "text": event.text}
    return {
        "type": "whole",
        "kind": event.kind,
        "html": event.html,
        "sources": [{"title": passage.title, "url": passage.url} for passage in event.passages],
    }
