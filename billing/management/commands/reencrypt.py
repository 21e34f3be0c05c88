"""`manage.py reencrypt`: encrypts stored secrets again with the current SECRET_KEY."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.management.arguments import actor
from billing.reencryption import reencrypt_all


class Command(BaseCommand):
    help = (
        "Encrypt the secrets in the database again with the current SECRET_KEY; after that the keys in "
        "SECRET_KEY_FALLBACKS can be removed. Can be interrupted and repeated, and run under traffic."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for counts in reencrypt_all(by=actor()):
            self.stdout.write(
                f"{counts.name}: {counts.anew} encrypted anew, {counts.already} use the current key already"
                + (f", {counts.unreadable} UNREADABLE" if counts.unreadable else "")
            )
            unreadable += counts.unreadable
        if unreadable:
            raise CommandError(
                f"{unreadable} secrets use a SECRET_KEY that is neither the current one nor among "
                "SECRET_KEY_FALLBACKS. They were not changed: add that key and run this again."
            )
