"""The form of the Settings page: the account's defaults and the person's time zone."""

from typing import Any

from django import forms

from accounts import model_ids
from accounts.forms.choices import (
    MODEL_RULES_HELP,
    STRATEGIES,
    check_model_ids,
    check_model_rules,
    time_zones,
)
from accounts.forms.keys import ListField
from accounts.models import Account, User

DEFAULT_CONTENT_DAYS = 30


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    strategy = forms.ChoiceField(
        label="Default strategy",
        choices=STRATEGIES,
        help_text="Used when neither the request nor its key names one.",
    )

    time_zone = forms.ChoiceField(
        label="Time zone of the account",
        choices=time_zones,
        help_text="Days and months of limits, reports and statements begin at midnight in this zone.",
        widget=forms.Select(attrs={"id": "account-time-zone"}),
    )

    keep_content_days = forms.TypedChoiceField(
        label="Keep prompts and answers for",
        coerce=int,
        choices=[(1, "1 day"), (7, "7 days"), (30, "30 days"), (90, "90 days")],
        help_text="Older ones are deleted every day.",
        required=False,
    )

    keep_details_days = forms.TypedChoiceField(
        label="Keep details of requests for",
        coerce=int,
        choices=[("", "always"), (30, "30 days"), (90, "90 days"), (365, "a year")],
        help_text="Then the decision, metadata and error messages of a request are erased. Tokens, cost and "
        "attempts stay, because statements depend on them.",
        required=False,
        empty_value=None,
    )

    allowed_models = ListField(label="Allowed models", help_text=f"{MODEL_RULES_HELP} Applies to every key.")

    class Meta:
        model = Account
        fields = (
            "name", "strategy", "allowed_models", "time_zone", "baseline_model", "fallback", "rescue",
            "replace_retired", "log_content", "keep_content_days", "keep_details_days",
        )  # fmt: skip
        labels = {
            "baseline_model": "Baseline model",
            "fallback": "Fall back in manual mode",
            "rescue": "Rescue cut streams",
            "replace_retired": "Replace retired models",
            "log_content": "Store prompts and answers",
        }
        help_texts = {
            "baseline_model": "What you would use without routing; savings are counted against it. "
            "The best single model is the one with the best answers overall.",
            "fallback": "When the model you name fails, another one answers. Off: its error is the answer.",
            "rescue": "When a stream breaks off, the next model continues it where it stopped. Off: "
            "it ends with an error.",
            "replace_retired": "A request for a model that is gone is answered by its documented successor. "
            "Off: it is an error.",
            "log_content": "Encrypted, and shown on each request's page to the members of this account. "
            "Images and files are not stored. Off by default.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        current = self.instance.baseline_model
        models = model_ids.choices(*([current] if current else []))
        self.fields["baseline_model"].widget = forms.Select(choices=[("", "The best single model"), *models])

    def clean_keep_content_days(self) -> int:
        return self.cleaned_data["keep_content_days"] or DEFAULT_CONTENT_DAYS

    def clean_allowed_models(self) -> list[str]:
        entries: list[str] = self.cleaned_data["allowed_models"]
        check_model_rules(entries)
        return entries

    def clean_baseline_model(self) -> str:
        name: str = self.cleaned_data["baseline_model"]
        check_model_ids([name] if name else [])
        return name


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(
        label="Your time zone", choices=time_zones, help_text="Pages show times in this zone."
    )

    class Meta:
        model = User
        fields = ("time_zone",)
