"""Members of an account: inviting by e-mail, joining, changing roles, removing, leaving.

Owners manage everyone. Admins manage everyone but owners, and can't give the role of owner. An account always
keeps an owner: acts that could remove the last one check it under a lock on the account. Each act is recorded
in the audit log.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction

from accounts.audit import record
from accounts.keys import suspend_keys_of
from accounts.models import Account, ApiKey, Invitation, Member, User

LIFE = timedelta(days=7)
MOST_PENDING = 20  # per account, because invitations are e-mails to strangers
_OWNER, _ADMIN = Member.Role.OWNER, Member.Role.ADMIN


class MemberRefusal(Exception):
    """The act is impossible or not allowed to this person; the message tells them why."""


def roles_given_by(member: Member) -> list[Member.Role]:
    """The roles this member may give, weakest first; none for a viewer."""
    if member.role == _OWNER:
        return [Member.Role.VIEWER, _ADMIN, _OWNER]
    return [Member.Role.VIEWER, _ADMIN] if member.role == _ADMIN else []


def may_manage(by: Member, other: Member) -> bool:
    """Change another's role or remove them."""
    return by.account_id == other.account_id and other.role in roles_given_by(by)


def invite(by: Member, email: str, role: str, now: datetime) -> tuple[Invitation, str]:
    """Returns the invitation and its link's secret, which is not stored. Ends an earlier one to that address.

    Raises MemberRefusal.
    """
    if role not in roles_given_by(by):
        raise MemberRefusal("You can't give that role.")
    account, email = by.account, email.strip().lower()
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        if Member.objects.filter(account=account, user__email__iexact=email).exists():
            raise MemberRefusal(f"{email} is a member already.")
        pending = Invitation.objects.filter(account=account, ended_at=None)
        pending.filter(expires_at__lte=now).update(ended_at=now)
        pending.filter(email__iexact=email).update(ended_at=now)
        if pending.count() >= MOST_PENDING:
            raise MemberRefusal(
                f"{MOST_PENDING} invitations are pending already. Withdraw one that is not needed."
            )
        invitation = Invitation.objects.create(
            account=account,
            email=email,
            role=role,
            digest=_digest(secret),
            invited_by=by.user,
            created_at=now,
            expires_at=now + LIFE,
        )
        record(account, by.user, "member.invited", email, {"role": role})
    return invitation, secret


def invitation_of(secret: str, now: datetime) -> Invitation | None:
    """The invitation of a link, while it can be accepted."""
    invitations = Invitation.objects.select_related("account", "invited_by").filter(digest=_digest(secret))
    return invitations.filter(ended_at=None, expires_at__gt=now).first()


def pending_for(email: str, pk: int, now: datetime) -> bool:
    """Return True if this invitation to this address can still be accepted."""
    return Invitation.objects.filter(pk=pk, email__iexact=email, ended_at=None, expires_at__gt=now).exists()


def accept(secret: str, user: User, now: datetime) -> Member:
    """Join the account. The person must also own the address the link was sent to. Raises MemberRefusal."""
    with transaction.atomic():
        invitation = (
            Invitation.objects.select_for_update().filter(digest=_digest(secret), ended_at=None).first()
        )
        if invitation is None or invitation.expires_at <= now:
            raise MemberRefusal("This invitation has been used, withdrawn, or is too old.")
        if invitation.email.lower() != user.email.lower():
            raise MemberRefusal(f"This invitation is for {invitation.email}.")
        if not has_confirmed(user):
            raise MemberRefusal(f"Confirm {user.email} first: open the link in the e-mail we sent you.")
        invitation.ended_at = now
        invitation.save(update_fields=["ended_at"])
        member, _ = Member.objects.get_or_create(
            account_id=invitation.account_id, user=user, defaults={"role": invitation.role}
        )
        record(invitation.account, user, "member.joined", user.email, {"role": member.role})
    return member


def has_confirmed(user: User) -> bool:
    """Return whether the person showed that their address is theirs, or need not."""
    if settings.ACCOUNT_EMAIL_VERIFICATION == "none":
        return True
    addresses = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True)
    return bool(addresses.exists())


def withdraw(by: Member, invitation: Invitation, now: datetime) -> None:
    """End an invitation, so that its link stops working. Raises MemberRefusal."""
    if invitation.account_id != by.account_id or invitation.role not in roles_given_by(by):
        raise MemberRefusal("You can't withdraw this invitation.")
    with transaction.atomic():
        if Invitation.objects.filter(pk=invitation.pk, ended_at=None).update(ended_at=now):
            record(by.account, by.user, "invitation.withdrawn", invitation.email)


def change_role(by: Member, member: Member, role: str, now: datetime) -> None:
    """Raises MemberRefusal."""
    with transaction.atomic():
        by, member = _locked(by, member)
        if not may_manage(by, member) or role not in roles_given_by(by):
            raise MemberRefusal("You can't change this role.")
        if role != _OWNER:
            _keep_an_owner(member)
        was, member.role = member.role, Member.Role(role)
        if was != role:
            member.save(update_fields=["role"])
            _end_invitations(member, now)
            record(by.account, by.user, "member.changed", member.user.email, {"role": [was, role]})


def remove(by: Member, member: Member, now: datetime) -> list[ApiKey]:
    """Remove a member, or leave; takes effect with their next request. Raises MemberRefusal.

    Suspends the keys that they created, whose secrets they may know, and returns these.
    """
    with transaction.atomic():
        by, member = _locked(by, member)
        leaves = by.pk == member.pk
        if not (leaves or may_manage(by, member)):
            raise MemberRefusal("You can't remove this member.")
        _keep_an_owner(member)
        record(by.account, by.user, "member.left" if leaves else "member.removed", member.user.email)
        suspended = suspend_keys_of(member.user, by.account)
        for key in suspended:
            record(by.account, by.user, "key.suspended", str(key))
        member.role = ""  # so that every invitation they sent ends
        _end_invitations(member, now)
        member.delete()
    return suspended


def _locked(by: Member, member: Member) -> tuple[Member, Member]:
    """Both members, read again under a lock that excludes other acts on the account's members."""
    Account.objects.select_for_update().get(pk=by.account_id)
    rows = Member.objects.select_related("user", "account").filter(account_id=by.account_id)
    now = rows.in_bulk([by.pk, member.pk])
    if by.pk not in now or member.pk not in now:
        raise MemberRefusal("That person is no longer a member.")
    return now[by.pk], now[member.pk]


def _end_invitations(by: Member, now: datetime) -> None:
    """End the invitations this member sent whose role they may no longer give."""
    sent = Invitation.objects.filter(account_id=by.account_id, invited_by=by.user_id, ended_at=None)
    sent.exclude(role__in=roles_given_by(by)).update(ended_at=now)


def _keep_an_owner(without: Member) -> None:
    owners = Member.objects.filter(account_id=without.account_id, role=_OWNER, user__is_active=True)
    if without.role == _OWNER and not owners.exclude(pk=without.pk).exists():
        raise MemberRefusal("An account needs an owner: make someone else an owner first.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
