"""Reports the usage of subscribed accounts to Stripe, in whole millionths of a USD.

The amount due is one subtraction: the ledger's sum for the subscription's time, less the sum of all events
ever created for it. Amounts below a millionth stay due. If a re-pricing reduces the ledger's sum, nothing is
reported until the sum exceeds what was reported, because Stripe accepts no negative usage.

An event keeps its identifier at every try. Stripe counts an identifier once within 24 hours, so an event
whose result is unknown is sent again within that time only; after it an operator decides.
"""

import logging
from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from billing.alerts.publish import raise_alert, resolve_alert
from billing.reports.queries import Sources
from billing.stripe_meter.client import CallRefused, NoAnswer, TryLater, classified_error, client
from billing.stripe_meter.models import MeterEvent, StripeCustomer, Subscription

logger = logging.getLogger(__name__)
State = MeterEvent.State

NANO_A_MICRO = 1000
REPEATABLE = timedelta(hours=23)  # Stripe recognises an identifier for 24
SENDING_AT_MOST = timedelta(minutes=10)  # a try takes seconds: after that the process that sent it has died
OLDEST = timedelta(days=34)  # of the 35 days back that Stripe bills
BATCH = 500  # events per run
_ALREADY = "already exists with identifier"  # in Stripe's message for an event it has


def meter(now: datetime) -> int:
    """Create events for the usage that is due; returns how many."""
    created = 0
    for pk in Subscription.objects.order_by("pk").values_list("pk", flat=True):
        created += _meter(pk, now)
    return created


@transaction.atomic
def _meter(pk: int, now: datetime) -> int:
    subscription = Subscription.objects.select_for_update().select_related("customer").get(pk=pk)
    micro = due_nano(subscription, now) // NANO_A_MICRO
    if micro <= 0:
        return 0
    ended_at = subscription.until
    used_at = now if ended_at is None else min(now, ended_at - timedelta(seconds=1))
    event = MeterEvent.objects.create(
        subscription=subscription, identifier=f"routeplex-{uuid4()}", micro_usd=micro, used_at=used_at
    )
    if now - used_at > OLDEST:
        _give_up(event, "Stripe does not bill usage that old")
    return 1


def due_nano(subscription: Subscription, now: datetime) -> int:
    """Billionths of a USD that are in no event yet; negative if a re-pricing reduced the ledger's sum."""
    since, ended_at = subscription.since, subscription.until
    until = now if ended_at is None else min(now, ended_at)
    used = 0
    if until > since:
        sums = Sources.now(subscription.customer.account_id, since, until).sums(since, until)
        used = sum(group.cost_nano for group in sums.values())
    reported = subscription.events.aggregate(micro=Coalesce(Sum("micro_usd"), 0))["micro"]
    return used - int(reported) * NANO_A_MICRO


def send(now: datetime) -> int:
    """Send pending events, and again those it may not have received; returns how many arrived."""
    sent = 0
    for pk in _waiting(now):
        event = _claim(pk, now)
        if event is not None:
            try:
                sent += _send(event)
            except TryLater as error:
                _set_state(event, State.PENDING, str(error))
                logger.warning("Stripe accepts no events at the moment: %s", error)
                raise_alert(
                    "stripe.refused",
                    "Stripe accepts no usage",
                    f"{error} Nothing is lost: events wait and are sent when Stripe accepts them again.",
                    severity="critical",
                    once_key="stripe.refused",
                )
                break
    if sent:
        resolve_alert("stripe.refused")
    for event in MeterEvent.objects.filter(_uncertain(now), first_try_at__lte=now - REPEATABLE):
        _ask_operator(event)
    return sent


def _uncertain(now: datetime) -> Q:
    return Q(state=State.UNKNOWN) | Q(state=State.SENDING, tried_at__lt=now - SENDING_AT_MOST)


def _waiting(now: datetime) -> list[int]:
    repeatable = _uncertain(now) & Q(first_try_at__gt=now - REPEATABLE)
    events = MeterEvent.objects.filter(Q(state=State.PENDING) | repeatable).order_by("pk")
    return list(events.values_list("pk", flat=True)[:BATCH])


@transaction.atomic
def _claim(pk: int, now: datetime) -> MeterEvent | None:
    """Mark the event as being sent, before it is. None: another process has it.

    If this process dies in between, the event counts as uncertain after ten minutes and is sent again.
    """
    waiting = Q(state=State.PENDING) | (_uncertain(now) & Q(first_try_at__gt=now - REPEATABLE))
    skip = connection.features.has_select_for_update_skip_locked
    event = MeterEvent.objects.select_for_update(skip_locked=skip).filter(waiting, pk=pk).first()
    if event is None:
        return None
    changed = MeterEvent.objects.filter(waiting, pk=pk).update(
        state=State.SENDING, tried_at=now, first_try_at=Coalesce(F("first_try_at"), now)
    )
    return event if changed else None


def _send(event: MeterEvent) -> bool:
    customer = StripeCustomer.objects.get(subscriptions=event.subscription_id)
    try:
        client().v1.billing.meter_events.create(
            {
                "event_name": settings.STRIPE_METER_EVENT,
                "identifier": event.identifier,
                "timestamp": int(event.used_at.timestamp()),
                "payload": {"stripe_customer_id": customer.customer_id, "value": str(event.micro_usd)},
            }
        )
    except Exception as error:
        known = classified_error(error)
        if isinstance(known, CallRefused) and _ALREADY in str(known):
            _set_state(event, State.SENT)
            return True
        if isinstance(known, CallRefused):
            _give_up(event, str(known))
        elif isinstance(known, NoAnswer):
            _set_state(event, State.UNKNOWN, str(known))
        else:
            raise known from error
        return False
    _set_state(event, State.SENT)
    return True


def _set_state(event: MeterEvent, state: str, error: str = "") -> None:
    MeterEvent.objects.filter(pk=event.pk).update(state=state, error=error[:300])


def _give_up(event: MeterEvent, reason: str) -> None:
    _set_state(event, State.FAILED, reason)
    raise_alert(
        "stripe.event_failed",
        "Stripe refused usage",
        f"Event {event.identifier} of {event.micro_usd} millionths of a dollar was refused: {reason}. "
        "Bill it by hand, or run `manage.py stripe_events again` when the cause is gone.",
        severity="critical",
        once_key=f"stripe.event.{event.pk}",
    )


def _ask_operator(event: MeterEvent) -> None:
    raise_alert(
        "stripe.event_unknown",
        "Unknown whether Stripe has received some usage",
        f"Stripe did not confirm event {event.identifier} ({event.micro_usd} millionths of a dollar) within "
        "a day, the time in which Stripe ignores duplicates. Look it up at Stripe, then run "
        "`manage.py stripe_events sent` or `again` with its identifier.",
        severity="critical",
        once_key=f"stripe.event.{event.pk}",
    )
