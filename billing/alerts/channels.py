"""An account's channels: the owners' e-mail that every account has, further addresses, signed webhooks."""

import base64
import secrets

from django.db import transaction

from accounts.models import Account, Member, User
from billing.alerts.models import AlertChannel, ChannelKind, Delivery
from core.encryption import encrypt
from core.outbound import check_url

MOST_CHANNELS = 10
_SECRET_BYTES = 32  # Standard Webhooks: 24 to 64


class ChannelError(Exception):
    """The channel cannot be added, removed or tested; the message is for the person who tried."""


def default_channel(account: Account) -> AlertChannel:
    """The owners' e-mail channel, created when first needed; it can be switched off but not removed."""
    channel, _ = AlertChannel.objects.get_or_create(account=account, kind=ChannelKind.EMAIL, address="")
    return channel


def recipients(channel: AlertChannel) -> list[str]:
    """The addresses an e-mail channel currently reaches."""
    if channel.address:
        members = User.objects.filter(member__account=channel.account_id, is_active=True)
        return list(members.filter(email=channel.address).values_list("email", flat=True))
    owners = Member.objects.filter(
        account=channel.account_id, role=Member.Role.OWNER, user__is_active=True
    ).order_by("pk")
    return list(owners.values_list("user__email", flat=True))


def add_email(account: Account, address: str, by: User | None) -> AlertChannel:
    """Add a member's address; others never agreed to get our mail. Raises ChannelError."""
    if not account.members.filter(email=address).exists():
        raise ChannelError("That is not the address of a member of this account.")
    return _add(account, ChannelKind.EMAIL, address, None, by)


def add_webhook(account: Account, url: str, by: User | None) -> tuple[AlertChannel, str]:
    """Returns the channel and its secret, which is not shown again. Raises ChannelError, RefusedUrl."""
    address, secret = str(check_url(url)), _new_secret()
    return _add(account, ChannelKind.WEBHOOK, address, secret, by), secret


def add_slack(account: Account, url: str, by: User | None) -> AlertChannel:
    """Add an incoming webhook of Slack or of a compatible service. Raises ChannelError, RefusedUrl."""
    return _add(account, ChannelKind.SLACK, str(check_url(url)), None, by)


def rotate_secret(channel: AlertChannel) -> str:
    """Returns a new secret, used from the next message on, also for retries of earlier ones."""
    secret = _new_secret()
    channel.secret = encrypt(secret)
    channel.save(update_fields=["secret"])
    return secret


def switch(channel: AlertChannel, *, on: bool) -> None:
    """Switching a channel off also stops its pending deliveries."""
    channel.enabled = on
    channel.save(update_fields=["enabled"])
    if not on:
        _stop(channel, "The channel was switched off.")


def remove(channel: AlertChannel) -> None:
    if channel.is_default:
        raise ChannelError("The owners' e-mail can be switched off, but not removed.")
    with transaction.atomic():
        _stop(channel, "The channel was removed.")
        channel.delete()


def _add(account: Account, kind: str, address: str, secret: str | None, by: User | None) -> AlertChannel:
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)  # two forms may be posted at once
        default_channel(account)
        existing = AlertChannel.objects.filter(account=account)
        if existing.count() >= MOST_CHANNELS:
            raise ChannelError(f"An account has at most {MOST_CHANNELS} channels. Remove one first.")
        if existing.filter(kind=kind, address=address).exists():
            raise ChannelError("This channel exists already.")
        return AlertChannel.objects.create(
            account=account,
            kind=kind,
            address=address,
            secret=encrypt(secret) if secret else None,
            created_by=by,
        )


def _stop(channel: AlertChannel, reason: str) -> None:
    pending = Delivery.objects.filter(channel=channel, status=Delivery.Status.PENDING)
    pending.update(status=Delivery.Status.FAILED, last_error=reason)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
