"""Ends one of the person's sessions; django-allauth lists them at /accounts/sessions/."""

from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.access import account_required, current_person


@require_POST
@account_required
def session_end(request: HttpRequest, pk: int) -> HttpResponse:
    session = get_object_or_404(UserSession, pk=pk, user=current_person(request))
    get_adapter().end_sessions([session])
    messages.success(request, "The session is ended.")
    return redirect("usersessions_list")
