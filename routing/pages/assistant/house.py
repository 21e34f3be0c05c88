"""The account that the assistant's requests are recorded under, with a daily budget of its own."""

from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.caller import Caller
from accounts.caller_lookup import caller_of
from accounts.keys import create_key
from accounts.models import Account, Plan
from routing.pages.assistant.models import House

NAME = "RoutePlex AI"
_PLAN = "unlimited"  # the account's own limit holds


def house_caller() -> Caller:
    """The caller of the assistant's requests. The account is opened at the first question."""
    house = House.objects.select_related("key__account__plan", "account").first() or _open()
    budget = Decimal(str(settings.ASSISTANT_DAILY_USD))
    if house.account.daily_usd != budget:
        Account.objects.filter(pk=house.account_id).update(daily_usd=budget)
        house.key.account.daily_usd = budget
    return caller_of(house.key)


def _open() -> House:
    try:
        with transaction.atomic():
            plan, _ = Plan.objects.get_or_create(name=_PLAN, defaults={"title": "Unlimited"})
            account = Account.objects.create(name=NAME, plan=plan)
            key, _secret = create_key(account, "assistant", scopes=("chat",))
            house = House.objects.create(account=account, key=key)
    except IntegrityError:  # another process was first
        house = House.objects.get()
    return House.objects.select_related("key__account__plan", "account").get(pk=house.pk)
