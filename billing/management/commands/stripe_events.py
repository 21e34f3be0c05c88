"""`manage.py stripe_events`: meter events that need a person, and what that person found at Stripe."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.alerts.publish import resolve_alert
from billing.stripe_meter.models import MeterEvent

OPEN = (MeterEvent.State.UNKNOWN, MeterEvent.State.FAILED, MeterEvent.State.SENDING)


class Command(BaseCommand):
    help = "List meter events whose fate is not known or that were refused, or say what became of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", nargs="?", choices=("list", "sent", "again"), default="list")
        parser.add_argument("identifier", nargs="?", help="of the event, as the list shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            for one in MeterEvent.objects.filter(state__in=OPEN).order_by("pk"):
                words = f"{one.micro_usd} millionths of a USD, used {one.used_at:%Y-%m-%d}: {one.error}"
                self.stdout.write(f"{one.identifier} {one.state} {words}")
            return
        event = MeterEvent.objects.filter(identifier=options["identifier"], state__in=OPEN).first()
        if event is None:
            raise CommandError(
                "There is no such event that needs a word; `stripe_events list` shows those that do."
            )
        sent = options["verb"] == "sent"
        event.state = MeterEvent.State.SENT if sent else MeterEvent.State.PENDING
        event.first_try_at, event.error = None, ""
        event.save(update_fields=["state", "first_try_at", "error"])
        resolve_alert(f"stripe.event.{event.pk}")
        self.stdout.write(f"{event.identifier} is {event.state}.")
