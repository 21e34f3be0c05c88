"""`POST /stripe/webhook`: after a message from Stripe, reads the customer's current state from Stripe."""

import logging

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.alerts.publish import raise_alert, resolve_alert
from billing.stripe_meter.client import CallRefused, NoAnswer, TryLater, is_enabled
from billing.stripe_meter.models import StripeCustomer, WebhookEvent
from billing.stripe_meter.subscriptions import refresh

logger = logging.getLogger(__name__)
MAX_BODY = 256 * 1024  # bytes; Stripe's messages have a few kilobytes
_HANDLED = ("checkout.session.completed", "customer.subscription.", "invoice.payment_failed", "invoice.paid")


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """200: done or not relevant; 400: not signed by Stripe; 503: Stripe should send it again."""
    if not is_enabled():
        raise Http404
    import stripe

    if int(request.headers.get("Content-Length") or 0) > MAX_BODY:
        return _text(413, "The body is too large.")
    try:
        event = stripe.Webhook.construct_event(
            request.body, request.headers.get("Stripe-Signature", ""), settings.STRIPE_WEBHOOK_SECRET
        )
    except (ValueError, stripe.SignatureVerificationError):
        return _text(400, "The signature does not match the body and the time.")
    kind, fields = str(event["type"]), event["data"]["object"]
    if not kind.startswith(_HANDLED) or WebhookEvent.objects.filter(pk=event["id"]).exists():
        return _text(200, "Nothing to do.")
    customer = (
        StripeCustomer.objects.filter(customer_id=str(fields["customer"])).select_related("account").first()
    )
    if customer is not None:
        try:
            refresh(customer)
        except (CallRefused, NoAnswer, TryLater) as error:
            logger.warning("could not read from Stripe what changed after %s: %s", kind, error)
            return _text(503, "Send it again later.")
        _alert_account(kind, customer)
    WebhookEvent.objects.get_or_create(
        event_id=event["id"], defaults={"kind": kind[:80], "received_at": timezone.now()}
    )
    return _text(200, "Done.")


def _alert_account(kind: str, customer: StripeCustomer) -> None:
    once_key = f"stripe.payment.{customer.account_id}"
    if kind == "invoice.paid":
        resolve_alert(once_key)
    elif kind == "invoice.payment_failed":
        raise_alert(
            "stripe.payment_failed",
            "A payment failed",
            "Stripe could not collect an invoice. Choose another payment method on the page Billing.",
            account=customer.account,
            severity="critical",
            once_key=once_key,
        )


def _text(status: int, text: str) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
