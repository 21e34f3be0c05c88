"""`manage.py stripe_events`: lists meter events that need a person, and records what that person decides."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.alerts.publish import resolve_alert
from billing.stripe_meter.models import MeterEvent

OPEN = (MeterEvent.State.UNKNOWN, MeterEvent.State.FAILED, MeterEvent.State.SENDING)


class Command(BaseCommand):
    help = "List meter events that Stripe refused or did not confirm, or record what became of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", nargs="?", choices=("list", "sent", "again"), default="list")
        parser.add_argument("identifier", nargs="?", help="of the event, as in the list")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            for event in MeterEvent.objects.filter(state__in=OPEN).order_by("pk"):
                usage = f"{event.micro_usd} millionths of a dollar, used {event.used_at:%Y-%m-%d}"
                self.stdout.write(f"{event.identifier} {event.state} {usage}: {event.error}")
            return
        chosen = MeterEvent.objects.filter(identifier=options["identifier"], state__in=OPEN).first()
        if chosen is None:
            raise CommandError("No open event has this identifier. `stripe_events list` shows the open ones.")
        sent = options["verb"] == "sent"
        chosen.state = MeterEvent.State.SENT if sent else MeterEvent.State.PENDING
        chosen.first_try_at, chosen.error = None, ""
        chosen.save(update_fields=["state", "first_try_at", "error"])
        resolve_alert(f"stripe.event.{chosen.pk}")
        self.stdout.write(f"{chosen.identifier} is {chosen.state}.")
