"""Adapters of django-allauth: sign-up opens an account, secrets of second factors are encrypted."""

import ipaddress
from typing import Any
from zoneinfo import available_timezones

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts.members import pending_for
from accounts.models import User
from accounts.registration import open_account
from core.encryption import decrypt, encrypt

FAILED_ANYWHERE = "login_failed_anywhere"  # the rate of failures of one account
INVITED = "invited"  # in a visitor's session: the invitation whose link they opened


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up opens an account for the person and leads to the first-run page."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Save the person and open their account, both or neither."""
        zone = form.data.get("time_zone", "")  # the browser's, filled in by routeplex.js
        if zone in available_timezones():
            user.time_zone = zone
        with transaction.atomic():
            saved: User = super().save_user(request, user, form, commit)
            if commit and not _is_invited(request, saved):
                open_account(saved, settings.SIGNUP_PLAN)
        return saved

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        try:
            return reverse("start")
        except NoReverseMatch:
            return reverse("home")

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """The address used to sign in stays; an unconfirmed new one may be deleted."""
        return bool(email_address.email != email_address.user.email)

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": "Too many failed sign-ins. Try again in five minutes, or reset your "
        "password: the link that we e-mail signs you in at once."
    }

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count guesses by e-mail address and by where they come from, so that strangers lock no one out.

        allauth's key contains the Host header, which callers choose.
        """
        return f"{_email_in(credentials)}|{_network_of(self.get_client_ip(request))}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Raises a ValidationError when there were too many failures from here, or from everywhere."""
        super().pre_authenticate(request, **credentials)
        if not ratelimit.consume(request, action=FAILED_ANYWHERE, key=_email_in(credentials), dry_run=True):
            raise self.validation_error("too_many_login_attempts")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        ratelimit.consume(request, action=FAILED_ANYWHERE, key=_email_in(credentials))

    def _delete_login_attempts_cached_email(self, request: HttpRequest, **credentials: Any) -> None:
        """After a reset of the password, which shows that the address is theirs, nothing counts any more."""
        super()._delete_login_attempts_cached_email(request, **credentials)
        ratelimit.clear(request, action=FAILED_ANYWHERE, key=_email_in(credentials))

    def send_account_already_exists_mail(self, email: str) -> None:
        """Take as long as a sign-up that makes an account, so that time does not tell them apart."""
        make_password(email)
        super().send_account_already_exists_mail(email)

    def format_email_subject(self, subject: str) -> str:
        return subject


def _email_in(credentials: dict[str, Any]) -> str:
    return str(credentials.get("email", "")).lower()


def _network_of(address: str) -> str:
    """The address; of IPv6 the network, because one household has all of it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ip if ip.version == 4 else ipaddress.ip_network(f"{ip}/64", strict=False))


def _is_invited(request: HttpRequest, user: User) -> bool:
    """The person opened an invitation to this address, so they get that account and none of their own.

    A person who does not accept it gets an account with the first page they open.
    """
    pk = request.session.get(INVITED)
    return isinstance(pk, int) and pending_for(user.email, pk, timezone.now())


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Encrypts the secrets of authenticator apps in the database."""

    def encrypt(self, text: str) -> str:
        return encrypt(text).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text.encode("ascii"))
