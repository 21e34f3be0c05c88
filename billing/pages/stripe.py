"""The Billing page: the subscription at Stripe, the usage reported to it, links to checkout and portal."""

from collections.abc import Callable
from decimal import Decimal

from django.conf import settings
from django.contrib import messages
from django.db.models import Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.access import account_required, change_required, current_account, current_person, may_change
from billing.reports.measures import usd
from billing.stripe_meter.client import CallRefused, NoAnswer, TryLater, is_enabled
from billing.stripe_meter.metering import due_nano
from billing.stripe_meter.models import MeterEvent, StripeCustomer, Subscription
from billing.stripe_meter.subscriptions import checkout_url, current, portal_url

_SHOWN = 20
_MICRO = Decimal("0.000001")


@require_safe
@account_required
def payment(request: HttpRequest) -> HttpResponse:
    _stripe_or_404()
    account, now = current_account(request), timezone.now()
    subscription = current(account)
    events = MeterEvent.objects.filter(subscription__customer__account=account)
    sums = events.aggregate(
        sent=Sum("micro_usd", filter=Q(state="sent")), waiting=Sum("micro_usd", filter=~Q(state="sent"))
    )
    context = {
        "subscription": subscription,
        "ended": subscription is None and Subscription.objects.filter(customer__account=account).exists(),
        "customer": StripeCustomer.objects.filter(account=account).first(),
        "sent": (sums["sent"] or 0) * _MICRO,
        "waiting": (sums["waiting"] or 0) * _MICRO,
        "due": usd(due_nano(subscription, now)) if subscription else Decimal(0),
        "events": events.order_by("-pk")[:_SHOWN],
        "may_change": may_change(request),
    }
    return render(request, "billing/payment.html", context)


@require_POST
@change_required
def checkout(request: HttpRequest) -> HttpResponse:
    _stripe_or_404()
    account = current_account(request)
    if current(account) is not None:
        messages.info(request, "This account already pays through Stripe.")
        return redirect("payment")
    return _redirect_to(request, lambda: checkout_url(account, current_person(request).email, _back()))


@require_POST
@change_required
def portal(request: HttpRequest) -> HttpResponse:
    _stripe_or_404()
    customer = StripeCustomer.objects.filter(account=current_account(request)).first()
    if customer is None:
        raise Http404
    return _redirect_to(request, lambda: portal_url(customer, _back()))


def _redirect_to(request: HttpRequest, url: Callable[[], str]) -> HttpResponse:
    try:
        return redirect(url())
    except NoAnswer:
        words = "Stripe is not answering. Nothing was changed; try again in a few minutes."
    except (CallRefused, TryLater):
        words = "Stripe refused this. Nothing was changed; contact the operator of this RoutePlex."
    messages.error(request, words)
    return redirect("payment")


def _back() -> str:
    return settings.PUBLIC_URL + reverse("payment")


def _stripe_or_404() -> None:
    if not is_enabled():
        raise Http404
