"""Makes an API key for scripts and benchmarks and prints nothing else on stdout."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from accounts.audit import record
from accounts.caller import Limits
from accounts.keys import create_key
from accounts.models import Account, ApiKey, Plan, User
from accounts.registration import open_account

_PLAN_OF_NEW_ACCOUNTS = "unlimited"  # no limit on such a key but those given


class Command(BaseCommand):
    help = "Creates an API key, and the person and account if there are none, and prints only the key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, type=_email, help="whose account the key belongs to")
        parser.add_argument("--name", default="command line", type=_name, help="what the key is called")
        parser.add_argument("--plan", help="the account's plan; a new account without is unlimited")
        parser.add_argument("--daily-usd", type=_usd, metavar="X", help="USD the key may spend a day (UTC)")
        parser.add_argument("--rpm", type=_rpm, metavar="N", help="requests the key may send a minute")

    def handle(self, *, email: str, name: str, plan: str | None, **options: Any) -> None:
        if plan is not None and not Plan.objects.filter(pk=plan).exists():
            plans = ", ".join(Plan.objects.order_by("name").values_list("name", flat=True))
            raise CommandError(f"There is no plan {plan!r}. The plans are: {plans}.")
        limits = Limits(daily_usd=options["daily_usd"], requests_per_minute=options["rpm"])
        with transaction.atomic():
            user = User.objects.filter(email__iexact=email).first() or User.objects.create_user(email)
            account = _account(user, plan)
            key, secret = create_key(account, name, created_by=user, limits=limits)
            record(account, "manage.py create_key", "key.created", str(key))
        self.stdout.write(secret)


def _account(user: User, plan: str | None) -> Account:
    account = user.accounts.order_by("pk").first()
    if account is None:
        return open_account(user, plan or _PLAN_OF_NEW_ACCOUNTS)
    if plan is not None:
        account.plan_id = plan
        account.save(update_fields=["plan"])
    return account


def _email(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise CommandError(f"--email: {text!r} is not an e-mail address.") from None
    return text


def _name(text: str) -> str:
    longest = ApiKey._meta.get_field("name").max_length or 0
    if not 0 < len(text.strip()) <= longest:
        raise CommandError(f"--name: a name has 1 to {longest} characters.")
    return text.strip()


def _usd(text: str) -> Decimal:
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd < 10**9 or usd != round(usd, 9):
        raise CommandError(f"--daily-usd: {text!r} is not an amount in USD, such as 2.50.")
    return usd


def _rpm(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise CommandError(f"--rpm: {text!r} is not a number of requests, such as 60.")
    return int(text)
