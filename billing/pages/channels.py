"""Actions on alert channels: add, test, switch, rotate the secret, remove. The audit log records each."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.access import change_required, current_account, current_person
from accounts.audit import record
from accounts.forms.keys import ConfirmNameForm
from billing.alerts import channels
from billing.alerts.channels import ChannelError
from billing.alerts.models import AlertChannel, ChannelKind
from billing.alerts.publish import send_test
from billing.pages.forms import EmailForm, WebhookForm
from core.outbound import OutboundError


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@change_required
@vary_on_headers("HX-Request")
def webhook_new(request: HttpRequest) -> HttpResponse:
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        account, person = current_account(request), current_person(request)
        url, new_secret = form.cleaned_data["url"], ""
        try:
            with transaction.atomic():
                if form.cleaned_data["format"] == ChannelKind.SLACK:
                    channel = channels.add_slack(account, url, person)
                else:
                    channel, new_secret = channels.add_webhook(account, url, person)
                record(account, person, "channel.created", channel.name, {"kind": channel.kind})
            if not new_secret:
                messages.success(request, f"Alerts are sent to {channel.name} from now on.")
                return redirect("limits")
            return _show_secret(request, channel, new_secret)
        except (ChannelError, OutboundError) as error:
            form.add_error("url", str(error))
    return _confirm(request, "Add a webhook", "billing/_channel_new.html", form, verb="Add webhook")


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def email_new(request: HttpRequest) -> HttpResponse:
    account, person = current_account(request), current_person(request)
    form = EmailForm(request.POST or None, account=account)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                channel = channels.add_email(account, form.cleaned_data["address"], person)
                record(account, person, "channel.created", channel.name, {"kind": channel.kind})
            messages.success(request, f"Alerts are mailed to {channel.name} from now on.")
            return redirect("limits")
        except ChannelError as error:
            form.add_error("address", str(error))
    return _confirm(request, "Add an e-mail address", "billing/_channel_new.html", form, verb="Add address")


@require_POST
@change_required
def test(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _channel_or_404(request, pk)
    try:
        send_test(channel, timezone.now())
        messages.success(request, f"A test is on its way to {channel.name}; the log below shows it arrive.")
    except ChannelError as error:
        messages.warning(request, str(error))
    return redirect("limits")


@require_POST
@change_required
def on(request: HttpRequest, pk: int) -> HttpResponse:
    return _switch(request, pk, on=True)


@require_POST
@change_required
def off(request: HttpRequest, pk: int) -> HttpResponse:
    return _switch(request, pk, on=False)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@change_required
@vary_on_headers("HX-Request")
def secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Replace the secret of a webhook."""
    channel = _channel_or_404(request, pk, kind=ChannelKind.WEBHOOK)
    if request.method == "POST":
        with transaction.atomic():
            new_secret = channels.rotate_secret(channel)
            record(current_account(request), current_person(request), "channel.rotated", channel.name)
        return _show_secret(request, channel, new_secret)
    return _confirm(request, "Create a new secret", "billing/_channel_secret.html", None, channel=channel)


@require_http_methods(["GET", "HEAD", "POST"])
@change_required
@vary_on_headers("HX-Request")
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _channel_or_404(request, pk)
    form = ConfirmNameForm(request.POST or None, expected=channel.name)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                name = channel.name
                channels.remove(channel)
                record(current_account(request), current_person(request), "channel.removed", name)
            messages.success(request, f"{name} gets no more alerts.")
        except ChannelError as error:
            messages.error(request, str(error))
        return redirect("limits")
    return _confirm(request, "Remove a channel", "billing/_channel_remove.html", form, channel=channel)


def _switch(request: HttpRequest, pk: int, *, on: bool) -> HttpResponse:
    channel = _channel_or_404(request, pk)
    with transaction.atomic():
        channels.switch(channel, on=on)
        act = "channel.switched_on" if on else "channel.switched_off"
        record(current_account(request), current_person(request), act, channel.name)
    messages.success(request, f"Alerts to {channel.name} are switched {'on' if on else 'off'}.")
    return redirect("limits")


def _channel_or_404(request: HttpRequest, pk: int, **narrowed: Any) -> AlertChannel:
    return get_object_or_404(AlertChannel, pk=pk, account=current_account(request), **narrowed)


def _confirm(request: HttpRequest, title: str, body: str, form: Any, **context: Any) -> HttpResponse:
    """The same form in a dialog and, opened directly, on a page."""
    template = "components/modal.html" if request.htmx else "billing/confirm.html"  # type: ignore[attr-defined]
    context |= {
        "title": title,
        "body": body,
        "form": form,
        "action": request.path,
        "cancel_url": reverse("limits"),
    }
    return render(request, template, context, status=422 if form and form.errors else 200)


def _show_secret(request: HttpRequest, channel: AlertChannel, new_secret: str) -> HttpResponse:
    return render(request, "billing/channel_secret_shown.html", {"channel": channel, "secret": new_secret})
