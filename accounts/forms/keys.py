"""Forms of the Keys page."""

import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.caller import Limits
from accounts.forms.choices import MODEL_RULES_HELP, STRATEGIES, check_model_rules
from accounts.keys import SCOPES
from accounts.models import ApiKey

_MOST_ENTRIES = 200
_LONGEST_LIFE = timedelta(days=3660)


class ListField(forms.CharField):
    """Entries between commas, spaces or new lines, each cleaned by `entry`; cleans to a list of str."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "off"})

    def __init__(self, *, entry: Callable[[str], str] = str, **options: Any) -> None:
        super().__init__(required=False, max_length=20_000, **options)
        self.entry = entry

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)

    def clean(self, value: Any) -> list[str]:
        texts = [text for text in re.split(r"[\s,]+", super().clean(value)) if text]
        if len(texts) > _MOST_ENTRIES:
            raise ValidationError(f"At most {_MOST_ENTRIES} entries.")
        return list(dict.fromkeys(self.entry(text) for text in texts))


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValidationError(f"“{text}” is not an IP address or network, such as 203.0.113.0/24.") from None


class KeyForm(forms.Form):
    """A new key. All limits may be left empty; then only the account's limits apply."""

    form_id = forms.CharField(widget=forms.HiddenInput, max_length=64)
    name = forms.CharField(
        max_length=ApiKey._meta.get_field("name").max_length,
        help_text="Where the key is used, such as “production” or “my laptop”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label="Permissions",
        choices=list(SCOPES.items()),
        initial=list(SCOPES),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one thing the key may do."},
    )
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        help_text="The key stops at the end of that day, in your time zone. Without a day it never expires.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    requests_per_minute = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    daily_usd = forms.DecimalField(
        label="USD per day", required=False, min_value=0, max_digits=18, decimal_places=9
    )
    daily_tokens = forms.IntegerField(
        label="Tokens per day", required=False, min_value=1, max_value=2**63 - 1
    )
    strategy = forms.ChoiceField(
        label="Default strategy", required=False, choices=[("", "As the account"), *STRATEGIES]
    )
    allowed_models = ListField(label="Allowed models", help_text=MODEL_RULES_HELP)
    ip_networks = ListField(
        label="Allowed networks",
        entry=_network,
        help_text="IP addresses or networks the key may be used from. Without an entry: anywhere.",
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError("A name is one line of printable characters.")
        return name

    def clean_expires_on(self) -> date | None:
        day: date | None = self.cleaned_data["expires_on"]
        if day is None:
            return None
        today = timezone.localdate()
        if day < today:
            raise ValidationError("That day has passed. Choose today or later.")
        if day > today + _LONGEST_LIFE:
            raise ValidationError("Choose a day within ten years.")
        return day

    def clean_allowed_models(self) -> list[str]:
        ids: list[str] = self.cleaned_data["allowed_models"]
        check_model_rules(ids)
        return ids

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `accounts.keys.create_key` besides account, name and creator."""
        values = self.cleaned_data
        names = ("requests_per_minute", "daily_usd", "daily_tokens")
        return {
            "scopes": values["scopes"],
            "limits": Limits(**{name: values[name] for name in names}),
            "strategy": values["strategy"],
            "expires_at": _end_of(values["expires_on"]),
            "allowed_models": values["allowed_models"],
            "ip_networks": values["ip_networks"],
        }

    def audit_detail(self) -> dict[str, Any]:
        """The filled-in fields, for the audit log."""
        filled = {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [])}
        filled.pop("form_id"), filled.pop("name")
        return {
            name: value if isinstance(value, list | int) else str(value) for name, value in filled.items()
        }


class RotateForm(forms.Form):
    form_id = forms.CharField(widget=forms.HiddenInput, max_length=64)
    overlap = forms.TypedChoiceField(
        label="The old key keeps working for",
        coerce=lambda hours: timedelta(hours=int(hours)),
        initial="24",
        choices=[
            ("0", "no time: it stops at once"),
            ("1", "1 hour"),
            ("24", "1 day"),
            ("168", "7 days"),
            ("720", "30 days"),
        ],
    )


class ConfirmNameForm(forms.Form):
    """Confirms an action that can't be undone by typing a name."""

    name = forms.CharField(
        label="Name", widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True})
    )

    def __init__(self, *args: Any, expected: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.expected = expected

    def clean_name(self) -> str:
        if self.cleaned_data["name"] != self.expected.strip():
            raise ValidationError(f"That is not the name. Type “{self.expected}” exactly.")
        return self.expected


def _end_of(day: date | None) -> datetime | None:
    return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min)) if day else None
