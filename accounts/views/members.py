"""The Members page: members, invitations, roles, leaving; and switching between a person's accounts."""

import logging
import smtplib
from typing import Any

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.mail import send_mail
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required, change_required, choose_account, current_member, current_person
from accounts.adapter import INVITED
from accounts.forms.keys import ConfirmNameForm
from accounts.forms.members import InviteForm, RoleForm
from accounts.members import (
    MemberRefusal,
    accept,
    change_role,
    has_confirmed,
    invitation_of,
    invite,
    may_manage,
    remove,
    roles_given_by,
    withdraw,
)
from accounts.models import Account, ApiKey, Invitation, Member

_MOST_SHOWN = 500
_log = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@account_required
def members(request: HttpRequest) -> HttpResponse:
    """Every member sees the members; POST invites, for owners and admins."""
    if request.method == "POST":
        return _invite(request)
    return _page(request, None)


@change_required
def _invite(request: HttpRequest) -> HttpResponse:
    me = current_member(request)
    form = InviteForm(request.POST, roles=roles_given_by(me))
    if not form.is_valid():
        return _page(request, form)
    if not ratelimit.consume(request, action="invite", user=request.user):
        response: HttpResponse = ratelimit.respond_429(request)
        return response
    try:
        invitation, secret = invite(me, form.cleaned_data["email"], form.cleaned_data["role"], timezone.now())
    except MemberRefusal as refusal:
        form.add_error(None, str(refusal))
        return _page(request, form)
    link = settings.PUBLIC_URL + reverse("join", args=[secret])
    context = {"invitation": invitation, "link": link, "is_mailed": _mailed(invitation, link)}
    return never_cache(render)(request, "accounts/member_invited.html", context)


def _mailed(invitation: Invitation, link: str) -> bool:
    """Send the link by mail; False if the mail server refused. The page shows the link as well."""
    text = render_to_string("accounts/email/invitation.txt", {"invitation": invitation, "link": link})
    subject = " ".join(f"Join {invitation.account.name} at RoutePlex".split())
    try:
        html = render_to_string("accounts/email/invitation.html", {"invitation": invitation, "link": link})
        sender = settings.DEFAULT_FROM_EMAIL
        send_mail(subject, text, sender, [invitation.email], html_message=html)
    except (OSError, smtplib.SMTPException):
        return False
    return True


def _page(request: HttpRequest, form: InviteForm | None) -> HttpResponse:
    me, now = current_member(request), timezone.now()
    roles = roles_given_by(me)
    members = Member.objects.filter(account=me.account).select_related("user", "account").order_by("pk")
    pending = Invitation.objects.filter(account=me.account, ended_at=None, expires_at__gt=now)
    context = {
        "me": me,
        "rows": [
            {"member": member, "may_manage": may_manage(me, member)} for member in members[:_MOST_SHOWN]
        ],
        "pending": [
            {"invitation": invitation, "may_manage": invitation.role in roles}
            for invitation in pending.select_related("invited_by").order_by("pk")
        ],
        "form": form or (InviteForm(roles=roles) if roles else None),
    }
    return render(request, "accounts/members.html", context, status=422 if form else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def member_role(request: HttpRequest, pk: int) -> HttpResponse:
    me, member = current_member(request), _member_or_404(request, pk)
    form = RoleForm(request.POST or None, roles=roles_given_by(me), initial={"role": member.role})
    if request.method == "POST" and form.is_valid():
        return _done(
            request,
            lambda: change_role(me, member, form.cleaned_data["role"], timezone.now()),
            f"{member.user.email} is now {form.cleaned_data['role']}.",
        )
    title = f"Role of {member.user.email}"
    return _confirm(request, form, title=title, body="accounts/_member_role.html", member=member)


@require_http_methods(["GET", "HEAD", "POST"])
@account_required
@vary_on_headers("HX-Request")
def member_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave the account, or remove a member."""
    me, member = current_member(request), _member_or_404(request, pk)
    leaves = me.pk == member.pk
    form = ConfirmNameForm(request.POST or None, expected=member.user.email)
    if request.method == "POST" and form.is_valid():
        words = f"You have left {me.account.name}." if leaves else f"{member.user.email} was removed."
        return _done(request, lambda: _remove(me, member), words, to="home" if leaves else "members")
    title = f"Leave {me.account.name}" if leaves else f"Remove {member.user.email}"
    keys = ApiKey.objects.filter(
        account=me.account, created_by=member.user, revoked_at=None, suspended_at=None
    ).count()
    return _confirm(
        request,
        form,
        title=title,
        body="accounts/_member_remove.html",
        member=member,
        leaves=leaves,
        keys=keys,
        verb="Leave" if leaves else "Remove",
    )


def _remove(by: Member, member: Member) -> None:
    """Remove a member, and tell the owners which keys are suspended by it. Raises MemberRefusal."""
    person = member.user.email
    keys = remove(by, member, timezone.now())
    if not keys:
        return
    owners = Member.objects.filter(account=by.account, role=Member.Role.OWNER, user__is_active=True)
    link = settings.PUBLIC_URL + reverse("keys")
    context = {"person": person, "account": by.account, "keys": keys, "link": link}
    text = render_to_string("accounts/email/keys_suspended.txt", context)
    subject = " ".join(f"Keys of {by.account.name} at RoutePlex are suspended".split())
    recipients = list(owners.values_list("user__email", flat=True)[:_MOST_SHOWN])
    try:
        send_mail(subject, text, settings.DEFAULT_FROM_EMAIL, recipients)
    except (OSError, smtplib.SMTPException):
        _log.warning("the owners of account %s got no e-mail about suspended keys", by.account_id)


@require_POST
@change_required
def invitation_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    me = current_member(request)
    invitation = get_object_or_404(Invitation, pk=pk, account=me.account)
    words = f"The link sent to {invitation.email} no longer works."
    return _done(request, lambda: withdraw(me, invitation, timezone.now()), words)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """Where the link of an invitation leads: sign in or up with its address, then join."""
    invitation = invitation_of(secret, timezone.now())
    if invitation is None:
        return render(request, "accounts/join_over.html", status=404)
    if request.user.is_authenticated and request.method == "POST":
        try:
            member = accept(secret, current_person(request), timezone.now())
        except MemberRefusal as refusal:
            messages.error(request, str(refusal))
            return redirect(request.path)
        choose_account(request, member.account_id)
        messages.success(request, f"You are now a member of {member.account.name}, as {member.role}.")
        return redirect("home")
    if not request.user.is_authenticated:
        request.session[INVITED] = invitation.pk
    person = current_person(request) if request.user.is_authenticated else None
    context = {
        "invitation": invitation,
        "is_theirs": person is not None and person.email.lower() == invitation.email.lower(),
        "is_confirmed": person is not None and has_confirmed(person),
    }
    return render(request, "accounts/join.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def my_accounts(request: HttpRequest) -> HttpResponse:
    """The accounts the person belongs to, to change between them."""
    person = current_person(request)
    if request.method == "POST":
        chosen = request.POST.get("account", "")
        if not (chosen.isascii() and chosen.isdigit() and len(chosen) < 19):
            raise Http404
        account = get_object_or_404(Account, pk=int(chosen), members=person)
        choose_account(request, account.pk)
        return redirect("home")
    return _my_accounts(request)


@account_required
def _my_accounts(request: HttpRequest) -> HttpResponse:
    memberships = Member.objects.filter(user=current_person(request)).select_related("account").order_by("pk")
    context = {"me": current_member(request), "memberships": memberships[:_MOST_SHOWN]}
    return render(request, "accounts/my_accounts.html", context)


def _member_or_404(request: HttpRequest, pk: int) -> Member:
    own = Member.objects.select_related("user", "account")
    return get_object_or_404(own, pk=pk, account=current_member(request).account)


def _done(request: HttpRequest, act: Any, words: str, to: str = "members") -> HttpResponse:
    """Run `act` and show its success or refusal as a message."""
    try:
        act()
    except MemberRefusal as refusal:
        messages.error(request, str(refusal))
        return redirect("members")
    messages.success(request, words)
    return redirect(to)


def _confirm(request: HttpRequest, form: Any, *, title: str, body: str, **parts: Any) -> HttpResponse:
    """The same form in a dialog and, opened directly, on a page."""
    template = "components/modal.html" if request.htmx else "accounts/member_confirm.html"  # type: ignore[attr-defined]
    context = {"form": form, "title": title, "body": body, "action": request.path, **parts}
    status = 422 if form.errors else 200
    return render(request, template, context | {"cancel_url": reverse("members")}, status=status)
