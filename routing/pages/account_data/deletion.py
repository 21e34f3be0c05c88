"""Deletes an account: its keys stop at once and its content is erased; sums stay, without people.

Requests, attempts, windows, rollups and statements are the books of the whole installation, so their rows
stay, under an account without name and members. People who belong to no other account are deleted with it.
"""

from django.db import transaction
from django.utils import timezone

from accounts.keys import revoke
from accounts.models import Account, ApiKey, AuditEntry, Invitation, Member, User
from billing.alerts.models import Alert, AlertChannel
from billing.content.details import erase_details
from billing.content.store import erase_content
from billing.models import IdempotentOutcome
from billing.refusals.models import RefusedCall
from billing.stripe_meter.models import Subscription
from routing.learning.account import forget


class CannotDelete(Exception):
    """The account cannot be deleted now; the message tells its owner why."""


def delete_account(account: Account) -> None:
    """Raises CannotDelete while a subscription runs."""
    if Subscription.objects.filter(customer__account=account).exclude(status="canceled").exists():
        raise CannotDelete("This account has a subscription. Cancel it on the page Billing first.")
    now = timezone.now()
    with transaction.atomic():
        for key in ApiKey.objects.select_for_update().filter(account=account):
            revoke(key)
        ApiKey.objects.filter(account=account).update(name="deleted", ip_networks=[])
        _delete_people(account)
        AlertChannel.objects.filter(account=account).delete()
        Alert.objects.filter(account=account).delete()
        AuditEntry.objects.filter(account=account).delete()
        Account.objects.filter(pk=account.pk).update(
            name=f"deleted account {account.pk}", log_content=False, deleted_at=now
        )
    # In short transactions: there may be millions of rows. The keys are gone, so no new ones come.
    erase_content(account)
    erase_details(account, now)
    forget(account.pk)
    RefusedCall.objects.filter(account=account).delete()
    IdempotentOutcome.objects.filter(account=account).delete()


def _delete_people(account: Account) -> None:
    people = list(User.objects.filter(member__account=account))
    Invitation.objects.filter(account=account).delete()
    Member.objects.filter(account=account).delete()
    for person in people:
        if not person.is_staff and not Member.objects.filter(user=person).exists():
            person.delete()
