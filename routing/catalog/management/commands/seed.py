"""`manage.py seed`: puts the reviewed data files and configured upstreams into the tables."""

from django.core.management import BaseCommand

from routing.catalog.seeding import seed


class Command(BaseCommand):
    help = "Load models, prices, scores, retirements and configured upstreams. Safe to run any time."

    def handle(self, *args: object, **options: object) -> None:
        added = seed()
        if options["verbosity"]:
            self.stdout.write(
                f"{added.models} models, {added.prices} new price rows, {added.retired} retired ids"
            )
