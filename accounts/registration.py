"""Opening an account for a person."""

from django.db import transaction

from accounts.models import Account, Member, Plan, User


def open_account(user: User, plan: str) -> Account:
    """Create an account owned by the person, named after the local part of their address, in their zone.

    Raises Plan.DoesNotExist.
    """
    with transaction.atomic():
        name = user.email.partition("@")[0][: Account._meta.get_field("name").max_length]
        account = Account.objects.create(name=name, plan=Plan.objects.get(pk=plan), time_zone=user.time_zone)
        Member.objects.create(account=account, user=user, role=Member.Role.OWNER)
    return account
