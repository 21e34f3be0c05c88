"""Changing one's e-mail address: the old one stays in force until the new one is confirmed."""

from allauth.account.forms import AddEmailForm
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest

from accounts.models import User


class ChangeEmailForm(AddEmailForm):  # type: ignore[misc]
    """django-allauth's own takes an unconfirmed present address for an earlier wish, and drops it."""

    def clean_email(self) -> str:
        email: str = super().clean_email()
        others = Q(email__iexact=email) | Q(emailaddress__email__iexact=email)
        if User.objects.filter(others).exclude(pk=self.user.pk).exists():
            raise ValidationError("Another account uses this address already.")
        return email

    def save(self, request: HttpRequest) -> EmailAddress:
        wishes = EmailAddress.objects.filter(user=self.user, verified=False, primary=False)
        with transaction.atomic():
            wishes.exclude(email__iexact=self.user.email).delete()
            address = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        send_verification_email_to_address(request, address)
        return address
