"""`manage.py reprice`: gives settled requests the book's price for their time, or undoes such a batch."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.management.arguments import actor, moment
from billing.models import Repricing
from billing.prices.repricing import preview, reprice, undo
from billing.prices.repricing_plan import NotReversible, Totals


class Command(BaseCommand):
    help = (
        "Re-price the charged attempts of one model in a span from the price book as of each request's time. "
        "The batch is audited and can be undone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", help="catalog id")
        parser.add_argument("--since", type=moment, help="ISO 8601, UTC without an offset; inclusive")
        parser.add_argument("--until", type=moment, help="exclusive; default: now")
        parser.add_argument("--reason", default="", help="stored with the batch and in the audit log")
        parser.add_argument("--dry-run", action="store_true", help="only print the totals")
        parser.add_argument("--undo", type=int, metavar="BATCH", help="restore what that batch changed")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["undo"] is not None:
                self._undo(options["undo"])
            else:
                self._reprice(
                    **{name: options[name] for name in ("model", "since", "until", "reason", "dry_run")}
                )
        except NotReversible as refusal:
            raise CommandError(str(refusal)) from refusal

    def _reprice(
        self, model: str | None, since: datetime | None, until: datetime | None, reason: str, dry_run: bool
    ) -> None:
        if not (model and since and (reason or dry_run)):
            raise CommandError("Give --model, --since and --reason, or --undo BATCH.")
        now = timezone.now()
        totals = preview(model, since, until or now)
        self.stdout.write(_text(totals))
        if dry_run or not totals.requests:
            self.stdout.write("Nothing was changed.")
            return
        batch = reprice(model, since, until or now, reason=reason, by=actor(), now=now)
        self.stdout.write(
            f"Batch {batch.pk}: {batch.requests} requests changed. Undo: manage.py reprice --undo {batch.pk}"
        )

    def _undo(self, pk: int) -> None:
        batch = Repricing.objects.filter(pk=pk).first()
        if batch is None:
            raise CommandError(f"There is no batch {pk}.")
        undo(batch, by=actor(), now=timezone.now())
        self.stdout.write(f"Batch {pk} was undone: {batch.requests} requests have their former price again.")


def _text(totals: Totals) -> str:
    return (
        f"{totals.requests} requests ({totals.attempts} attempts), {totals.newly_priced} of them unpriced "
        f"until now: {totals.usd_before:f} USD becomes {totals.usd_after:f} USD."
    )
