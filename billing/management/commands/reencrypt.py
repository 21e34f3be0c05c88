"""`manage.py reencrypt`: encrypt stored secrets anew under the present SECRET_KEY."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.reencryption import reencrypt_all


class Command(BaseCommand):
    help = (
        "Encrypt what lies encrypted in the database anew under the present SECRET_KEY; after that those in "
        "SECRET_KEY_FALLBACKS may go. May be cut off and run again, and run while the product serves."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for one in reencrypt_all(by=_actor()):
            self.stdout.write(
                f"{one.name}: {one.anew} encrypted anew, {one.already} under the present key already"
                + (f", {one.unreadable} UNREADABLE" if one.unreadable else "")
            )
            unreadable += one.unreadable
        if unreadable:
            raise CommandError(
                f"{unreadable} were encrypted with a SECRET_KEY that is neither the present one nor among "
                "SECRET_KEY_FALLBACKS. They were left as they are: add that key and run this again."
            )


def _actor() -> str:
    try:
        return f"manage.py ({getpass.getuser()})"
    except (OSError, KeyError):  # a container's user may have no name
        return "manage.py"
