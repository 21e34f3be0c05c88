"""The form of the Settings page: the account's defaults and the person's time zone."""

from django import forms

from accounts.forms.choices import (
    MODEL_RULES_HELP,
    STRATEGIES,
    check_model_ids,
    check_model_rules,
    time_zones,
)
from accounts.forms.keys import ListField
from accounts.models import Account, User


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    strategy = forms.ChoiceField(
        label="Default strategy",
        choices=STRATEGIES,
        help_text="Used when neither the request nor its key names one.",
    )

    time_zone = forms.ChoiceField(
        label="Time zone of limits",
        choices=time_zones,
        help_text="Days and months of limits, reports and statements begin at midnight there.",
        widget=forms.Select(attrs={"id": "account-time-zone"}),
    )

    allowed_models = ListField(label="Models", help_text=f"{MODEL_RULES_HELP} Holds for all keys.")

    class Meta:
        model = Account
        fields = (
            "name", "strategy", "allowed_models", "time_zone", "baseline_model", "fallback", "rescue",
            "replace_retired",
        )  # fmt: skip
        labels = {
            "baseline_model": "Baseline model",
            "fallback": "Fall back in manual mode",
            "rescue": "Rescue cut streams",
            "replace_retired": "Replace retired models",
        }
        help_texts = {
            "baseline_model": "What you would use without routing; savings are counted against it. "
            "Empty: the best single model.",
            "fallback": "When the model you name fails, another one answers. Off: its error is the answer.",
            "rescue": "When a stream breaks off, the next model continues it where it stopped. Off: "
            "it ends with an error.",
            "replace_retired": "A request for a model that is gone is answered by its documented successor. "
            "Off: it is an error.",
        }
        widgets = {
            "baseline_model": forms.TextInput(attrs={"list": "model-ids", "autocomplete": "off"}),
        }

    def clean_allowed_models(self) -> list[str]:
        entries: list[str] = self.cleaned_data["allowed_models"]
        check_model_rules(entries)
        return entries

    def clean_baseline_model(self) -> str:
        name: str = self.cleaned_data["baseline_model"]
        check_model_ids([name] if name else [])
        return name


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(choices=time_zones, help_text="Times on all pages are shown in it.")

    class Meta:
        model = User
        fields = ("time_zone",)
