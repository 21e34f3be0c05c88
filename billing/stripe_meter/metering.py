"""Tells Stripe what subscribed accounts use, in whole millionths of a USD.

What is due is one subtraction: what the ledger has for the subscription's time, less everything ever put into
an event for it. What is less than a millionth stays due, and when a re-pricing makes the ledger's sum smaller
nothing is told until it has grown beyond what was told: Stripe takes no negative usage.

An event goes out under one identifier for good. Stripe counts an identifier once within a day, so one whose
fate is not known is sent again within that day only; after it an operator decides.
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
REPEATABLE = timedelta(hours=23)  # of the 24 in which Stripe knows an identifier again
SENDING_AT_MOST = timedelta(minutes=10)  # a try takes seconds: the process that made it has ended
OLDEST = timedelta(days=34)  # of the 35 days back that Stripe bills
BATCH = 500  # events a run
_ALREADY = "already exists with identifier"  # Stripe's words for an event it has


def meter(now: datetime) -> int:
    """Write down what is due; returns how many events were made."""
    made = 0
    for pk in Subscription.objects.order_by("pk").values_list("pk", flat=True):
        made += _meter(pk, now)
    return made


@transaction.atomic
def _meter(pk: int, now: datetime) -> int:
    one = Subscription.objects.select_for_update().select_related("customer").get(pk=pk)
    micro = due_nano(one, now) // NANO_A_MICRO
    if micro <= 0:
        return 0
    used_at = now if one.until is None else min(now, one.until - timedelta(seconds=1))
    event = MeterEvent.objects.create(
        subscription=one, identifier=f"routeplex-{uuid4()}", micro_usd=micro, used_at=used_at
    )
    if now - used_at > OLDEST:
        _give_up(event, "Stripe bills nothing that old")
    return 1


def due_nano(one: Subscription, now: datetime) -> int:
    """Billionths of a USD that no event has yet; negative after the ledger became less."""
    until = now if one.until is None else min(now, one.until)
    used = 0
    if until > one.since:
        sums = Sources.now(one.customer.account_id, one.since, until).sums(one.since, until)
        used = sum(group.cost_nano for group in sums.values())
    told = one.events.aggregate(micro=Coalesce(Sum("micro_usd"), 0))["micro"]
    return used - int(told) * NANO_A_MICRO


def send(now: datetime) -> int:
    """Tell Stripe what is pending and, within the day, what it may not have heard: how many arrived."""
    sent = 0
    for pk in _waiting(now):
        event = _claim(pk, now)
        if event is not None:
            try:
                sent += _tell(event, now)
            except TryLater as error:
                _left(event, State.PENDING, str(error))
                logger.warning("Stripe takes no events now: %s", error)
                raise_alert(
                    "stripe.refused",
                    "Stripe takes no usage from us",
                    f"{error} Nothing is lost: events wait and are sent when it takes them again.",
                    severity="critical",
                    once_key="stripe.refused",
                )
                break
    if sent:
        resolve_alert("stripe.refused")
    for event in MeterEvent.objects.filter(_unsure(now), first_try_at__lte=now - REPEATABLE):
        _ask_operator(event)
    return sent


def _unsure(now: datetime) -> Q:
    return Q(state=State.UNKNOWN) | Q(state=State.SENDING, tried_at__lt=now - SENDING_AT_MOST)


def _waiting(now: datetime) -> list[int]:
    repeatable = _unsure(now) & Q(first_try_at__gt=now - REPEATABLE)
    found = MeterEvent.objects.filter(Q(state=State.PENDING) | repeatable).order_by("pk")
    return list(found.values_list("pk", flat=True)[:BATCH])


@transaction.atomic
def _claim(pk: int, now: datetime) -> MeterEvent | None:
    """Marked as being sent before it is: whoever dies in between leaves it to be sent again. None: taken."""
    waiting = Q(state=State.PENDING) | (_unsure(now) & Q(first_try_at__gt=now - REPEATABLE))
    skip = connection.features.has_select_for_update_skip_locked
    event = MeterEvent.objects.select_for_update(skip_locked=skip).filter(waiting, pk=pk).first()
    if event is None:
        return None
    changed = MeterEvent.objects.filter(waiting, pk=pk).update(
        state=State.SENDING, tried_at=now, first_try_at=Coalesce(F("first_try_at"), now)
    )
    return event if changed else None


def _tell(event: MeterEvent, now: datetime) -> bool:
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
            _left(event, State.SENT)
            return True
        if isinstance(known, CallRefused):
            _give_up(event, str(known))
        elif isinstance(known, NoAnswer):
            _left(event, State.UNKNOWN, str(known))
        else:
            raise known from error
        return False
    _left(event, State.SENT)
    return True


def _left(event: MeterEvent, state: str, error: str = "") -> None:
    MeterEvent.objects.filter(pk=event.pk).update(state=state, error=error[:300])


def _give_up(event: MeterEvent, why: str) -> None:
    _left(event, State.FAILED, why)
    raise_alert(
        "stripe.event_failed",
        "Stripe refused usage",
        f"Event {event.identifier} of {event.micro_usd} millionths of a USD was refused: {why}. "
        "Bill it by hand, or `manage.py stripe_events again` after the cause is gone.",
        severity="critical",
        once_key=f"stripe.event.{event.pk}",
    )


def _ask_operator(event: MeterEvent) -> None:
    raise_alert(
        "stripe.event_unknown",
        "Whether Stripe has some usage is not known",
        f"No answer came for event {event.identifier} of {event.micro_usd} millionths of a USD within a day, "
        "in which it could be sent twice without being counted twice. Look it up at Stripe, then say "
        "`manage.py stripe_events sent` or `again` with its identifier.",
        severity="critical",
        once_key=f"stripe.event.{event.pk}",
    )
