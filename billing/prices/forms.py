"""The form for entering a model's price: USD per million tokens by token class and tier."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from billing.models import ModelPrice
from billing.prices.book import Tiers

MORE_TIERS = 2  # no listed model has more than one long-prompt tier today
_CLASSES = {
    "uncached_input": "Input",
    "output": "Output",
    "cache_read": "Cached input",
    "cache_write": "Cache write",
    "cache_write_1h": "Cache write, 1 hour",
}
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def _usd(label: str, *, required: bool) -> forms.DecimalField:
    field = ModelPrice._meta.get_field("usd_per_mtok")
    return forms.DecimalField(
        label=label,
        required=required,
        min_value=0,
        max_digits=field.max_digits,
        decimal_places=field.decimal_places,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )


class PriceForm(forms.Form):
    """The model, the start date and the prices of short prompts. An empty price costs as input."""

    model = forms.CharField(
        max_length=120, widget=forms.TextInput(attrs={"list": "model-ids", "autocomplete": "off"})
    )
    effective_from = forms.DateTimeField(
        label="In force from",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="UTC. Empty: from now. Requests already settled keep their price until they are re-priced.",
    )
    uncached_input = _usd("Input", required=True)
    output = _usd("Output", required=True)
    cache_read = _usd("Cached input", required=False)
    cache_write = _usd("Cache write", required=False)
    cache_write_1h = _usd("Cache write, 1 hour", required=False)

    def __init__(self, *args: Any, models: set[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._models = models

    def clean_model(self) -> str:
        name: str = self.cleaned_data["model"].strip()
        if name not in self._models:
            raise ValidationError(f"There is no model “{name}” in the catalog.")
        return name

    def clean_effective_from(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["effective_from"]
        if moment is not None and moment >= _LATEST:
            raise ValidationError("Choose a time before 2100.")
        return moment

    @property
    def prices(self) -> dict[str, Decimal]:
        return _prices(self.cleaned_data)


class TierForm(forms.Form):
    """A long-prompt tier: its prices apply to all tokens of a request with a longer input. May stay empty."""

    over = forms.IntegerField(label="Input over (tokens)", required=False, min_value=1, max_value=2**31 - 1)
    uncached_input = _usd("Input", required=False)
    output = _usd("Output", required=False)
    cache_read = _usd("Cached input", required=False)
    cache_write = _usd("Cache write", required=False)
    cache_write_1h = _usd("Cache write, 1 hour", required=False)

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        prices = _prices(values)
        if self.errors:
            return values
        if values.get("over") is None and prices:
            raise ValidationError("Enter the number of input tokens over which these prices apply.")
        if values.get("over") is not None and not {"uncached_input", "output"} <= set(prices):
            raise ValidationError("A tier needs at least an input price and an output price.")
        return values


class _Tiers(forms.BaseFormSet):  # type: ignore[type-arg]
    def clean(self) -> None:
        overs = [form.cleaned_data["over"] for form in self.forms if form.cleaned_data.get("over")]
        if len(overs) != len(set(overs)):
            raise ValidationError("Two tiers begin at the same number of tokens.")


TierForms = forms.formset_factory(
    TierForm, formset=_Tiers, extra=MORE_TIERS, max_num=MORE_TIERS, validate_max=True
)


def tiers_of(form: PriceForm, more: "forms.BaseFormSet[TierForm]") -> Tiers:
    """The tiers of both valid forms, ascending."""
    tiers = [(0, form.prices)]
    tiers += [
        (tier.cleaned_data["over"], _prices(tier.cleaned_data))
        for tier in more
        if tier.cleaned_data.get("over")
    ]
    return tuple(sorted(tiers, key=lambda tier: tier[0]))


def _prices(values: dict[str, Any]) -> dict[str, Decimal]:
    return {name: values[name] for name in _CLASSES if values.get(name) is not None}
