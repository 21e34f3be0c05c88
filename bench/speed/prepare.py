"""Prepares an empty store for a measurement: schema, catalog and API keys, one a line on stdout.

`python -m bench.speed.prepare N`: N keys of one account. All have a daily budget and a limit of requests per
minute, far above what a measurement uses, because both are checked for each request.
"""

import os
import sys
from decimal import Decimal

import django

DAILY_USD = Decimal(1_000_000)
REQUESTS_PER_MINUTE = 100_000_000


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    from accounts.caller import Limits
    from accounts.key_format import digest_of, new_secret
    from accounts.keys import create_key
    from accounts.models import ApiKey, User
    from accounts.registration import open_account

    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    limits = Limits(daily_usd=DAILY_USD, requests_per_minute=REQUESTS_PER_MINUTE)
    with transaction.atomic():
        account = open_account(User.objects.create_user("speed@example.com"), "unlimited")
        key, secret = create_key(account, "key", limits=limits)
        print(secret)
        secrets = [new_secret() for _ in range(int(sys.argv[1]) - 1)]
        columns = {
            field.attname: getattr(key, field.attname)
            for field in ApiKey._meta.concrete_fields
            if field.attname not in ("id", "digest", "last_four")
        }
        others = (ApiKey(digest=digest_of(secret), last_four=secret[-4:], **columns) for secret in secrets)
        ApiKey.objects.bulk_create(others, batch_size=1000)
        print("\n".join(secrets))


if __name__ == "__main__":
    main()
