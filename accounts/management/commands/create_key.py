"""`manage.py create_key`: creates an API key for scripts and prints nothing else on stdout."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.audit import record
from accounts.caller import Limits
from accounts.forms.choices import check_model_rules
from accounts.keys import create_key
from accounts.models import Account, ApiKey, Plan, User
from accounts.registration import open_account

_PLAN_OF_NEW_ACCOUNTS = "unlimited"  # the key has no limits but those of the options
_MOST_RPM = 2**31 - 1  # of the column


class Command(BaseCommand):
    help = "Creates an API key, and the person and account if they do not exist, and prints only the key."

    def add_arguments(self, parser: CommandParser) -> None:
        # Values are checked in `handle`: an error raised by a `type` function would end in a traceback.
        parser.add_argument("--email", required=True, help="whose account the key belongs to")
        parser.add_argument("--name", default="command line", help="name of the key")
        parser.add_argument("--plan", help="the account's plan; unlimited if the account is new")
        parser.add_argument("--daily-usd", metavar="X", help="USD the key may spend a day")
        parser.add_argument("--rpm", metavar="N", help="requests the key may send a minute")
        parser.add_argument(
            "--models",
            metavar="RULES",
            help="ids or provider/* the key may use, separated by commas; -ID excludes (--models=-ID)",
        )

    def handle(self, **options: Any) -> None:
        email, name, plan = _email(options["email"]), _name(options["name"]), _plan(options["plan"])
        limits = Limits(daily_usd=_usd(options["daily_usd"]), requests_per_minute=_rpm(options["rpm"]))
        rules = _models(options["models"])
        with transaction.atomic():
            user = User.objects.filter(email__iexact=email).first() or User.objects.create_user(email)
            account = _account(user, plan)
            key, secret = create_key(account, name, created_by=user, limits=limits, allowed_models=rules)
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
        email: str = User._meta.get_field("email").clean(text.strip(), None)
    except ValidationError:
        raise CommandError(f"--email: {text!r} is not an e-mail address, such as you@example.com.") from None
    return email


def _name(text: str) -> str:
    longest = ApiKey._meta.get_field("name").max_length or 0
    if not 0 < len(text.strip()) <= longest:
        raise CommandError(f"--name: a name has 1 to {longest} characters, such as nightly.")
    return text.strip()


def _plan(text: str | None) -> str | None:
    if text is not None and not Plan.objects.filter(pk=text).exists():
        plans = ", ".join(Plan.objects.order_by("name").values_list("name", flat=True))
        raise CommandError(f"--plan: there is no plan {text!r}. The plans are: {plans}.")
    return text


def _usd(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd < 10**9 or usd != round(usd, 9):
        raise CommandError(f"--daily-usd: {text!r} is not an amount in USD, such as 2.50.")
    return usd


def _rpm(text: str | None) -> int | None:
    if text is None:
        return None
    # At most ten digits: Python refuses to parse thousands of them.
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= _MOST_RPM):
        raise CommandError(f"--rpm: {text!r} is not a number of requests, such as 60.")
    return int(text)


def _models(text: str | None) -> list[str]:
    rules = [rule.strip() for rule in (text or "").split(",") if rule.strip()]
    try:
        check_model_rules(rules)
    except ValidationError as error:
        raise CommandError(f"--models: {' '.join(error.messages)}") from None
    return rules
