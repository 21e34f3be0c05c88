"""Forms for limits, plans and alert channels."""

import asyncio
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Account, ApiKey
from core.outbound import OutboundError, check_url, checked_addresses

LIMITS = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_requests",
    "daily_usd",
    "monthly_usd",
    "daily_tokens",
    "monthly_tokens",
)
_LABELS = {
    "requests_per_minute": "Requests per minute",
    "tokens_per_minute": "Tokens per minute",
    "concurrent_requests": "Requests at a time",
    "daily_tokens": "Tokens per day",
    "monthly_tokens": "Tokens per month",
}
_LOOKUP_TIMEOUT_S = 3.0


def _usd(label: str) -> forms.DecimalField:
    return forms.DecimalField(label=label, required=False, min_value=0, max_digits=18, decimal_places=9)


class _LimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    daily_usd = _usd("USD per day")
    monthly_usd = _usd("USD per month")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("daily_usd", "monthly_usd"):  # 10, not 10.000000000
            if (usd := self.initial.get(name)) is not None:
                self.initial[name] = Decimal(f"{usd.normalize():f}")


class KeyLimitsForm(_LimitsForm):
    class Meta:
        model = ApiKey
        fields = LIMITS
        labels = _LABELS


class AccountLimitsForm(_LimitsForm):
    """An account's plan and the limits that override the plan's; for staff."""

    class Meta:
        model = Account
        fields = ("plan", *LIMITS)
        labels = _LABELS


class WebhookForm(forms.Form):
    url = forms.CharField(
        label="URL",
        max_length=2000,
        help_text="Gets a POST for each alert. Begins with https://, on the public internet.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://example.com/hooks"}),
    )

    format = forms.ChoiceField(
        label="Format",
        required=False,
        choices=[
            ("webhook", "Signed JSON (Standard Webhooks)"),
            ("slack", "Slack, Mattermost, Discord /slack"),
        ],
        help_text="For Slack, paste the address of an incoming webhook.",
    )

    def clean_url(self) -> str:
        text: str = self.cleaned_data["url"].strip()
        try:
            async_to_sync(_resolve)(text)
        except OutboundError as error:
            raise ValidationError(str(error)) from None
        return text


class EmailForm(forms.Form):
    address = forms.ChoiceField(
        label="Member", help_text="Alerts are mailed to members of this account only."
    )

    def __init__(self, *args: Any, account: Account, **options: Any) -> None:
        super().__init__(*args, **options)
        emails = account.members.filter(is_active=True).order_by("email").values_list("email", flat=True)
        self.fields["address"].choices = [(email, email) for email in emails]  # type: ignore[attr-defined]


def changes(form: "forms.ModelForm[Any]") -> dict[str, list[str]]:
    """By field: the values before and after as text; no limit is “none”."""
    return {name: [_words(form.initial[name]), _words(form.cleaned_data[name])] for name in form.changed_data}


def _words(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "none" if value is None else str(getattr(value, "pk", value))


async def _resolve(text: str) -> None:
    try:
        async with asyncio.timeout(_LOOKUP_TIMEOUT_S):
            await checked_addresses(check_url(text))
    except TimeoutError:
        raise OutboundError("The host could not be looked up in time. Try again.") from None
