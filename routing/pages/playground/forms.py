"""The playground's form, and the request that it describes for each column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms

from core.numbers.formats import provider_name
from routing.catalog.live import catalog
from routing.language.arms import Effort
from routing.language.chat import ChatRequest, Message, Mode, Role, Sampling, Steering, Strategy, Text

MOST_COLUMNS = 4
MOST_PROMPT = 100_000  # characters
MOST_TOKENS = 100_000
USUAL_TOKENS = 1024
_STRATEGY, _MODEL = "strategy", "model"


@dataclass(frozen=True)
class Target:
    """The choice of a column: a strategy, or a model by its catalog id."""

    value: str  # in the form and the URL: strategy:auto, model:gpt-4o-mini
    label: str

    @property
    def parameter(self) -> tuple[str, str]:
        """The field of the native API that asks for it, and its value."""
        kind, _, name = self.value.partition(":")
        return kind, name

    def steering(self, *, test_mode: bool, stream: bool) -> Steering:
        kind, name = self.parameter
        if kind == _MODEL:
            return Steering(mode=Mode.MANUAL, model=name, test_mode=test_mode, stream=stream)
        return Steering(strategy=Strategy(name), test_mode=test_mode, stream=stream)


def targets() -> Mapping[str, list[Target]]:
    """All targets by the heading they are listed under."""
    grouped = {"Strategies": [Target(f"{_STRATEGY}:{name}", name.capitalize()) for name in Strategy]}
    models = sorted(catalog.snapshot.models.values(), key=lambda facts: (facts.provider, facts.name))
    for facts in models:
        grouped.setdefault(provider_name(facts.provider), []).append(
            Target(f"{_MODEL}:{facts.id}", facts.name)
        )
    return grouped


def target_of(value: str) -> Target | None:
    return next((target for group in targets().values() for target in group if target.value == value), None)


class PromptForm(forms.Form):
    """A prompt and its parameters. Empty parameters are not sent: the model's defaults apply."""

    prompt = forms.CharField(
        max_length=MOST_PROMPT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "Ask anything", "autocomplete": "off"}),
        error_messages={"required": "Write a prompt."},
    )
    system = forms.CharField(
        label="System prompt",
        max_length=MOST_PROMPT,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "You are a helpful assistant."}),
    )
    max_output_tokens = forms.IntegerField(
        label="Max output tokens",
        min_value=1,
        max_value=MOST_TOKENS,
        initial=USUAL_TOKENS,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        required=False,
        widget=forms.NumberInput(attrs={"step": "0.1", "placeholder": "default"}),
    )
    reasoning_effort = forms.ChoiceField(
        label="Effort",
        required=False,
        choices=[("", "Chosen for you"), *((effort, effort.capitalize()) for effort in Effort)],
    )
    test_mode = forms.BooleanField(
        label="Test mode",
        required=False,
        help_text="Never choose a premium model. The request is still sent and billed.",
    )

    def clean_prompt(self) -> str:
        prompt: str = self.cleaned_data["prompt"]
        if not prompt.strip():
            raise forms.ValidationError("Write a prompt.")
        return prompt

    def chat_request(self) -> ChatRequest:
        """The neutral request of a valid form."""
        sent = self.cleaned_data
        system = (Message(Role.SYSTEM, (Text(sent["system"]),)),) if sent["system"].strip() else ()
        return ChatRequest(
            messages=(*system, Message(Role.USER, (Text(sent["prompt"]),))),
            max_answer_tokens=sent["max_output_tokens"],
            sampling=Sampling(temperature=sent["temperature"]),
            effort=Effort(sent["reasoning_effort"]) if sent["reasoning_effort"] else None,
        )

    def body(self, target: Target) -> dict[str, Any]:
        """The same request as a body of `POST /api/v1/chat`."""
        sent = self.cleaned_data
        kind, name = target.parameter
        system = [{"role": "system", "content": sent["system"]}] if sent["system"].strip() else []
        optional = {
            "temperature": sent["temperature"],
            "reasoning_effort": sent["reasoning_effort"] or None,
            "test_mode": sent["test_mode"] or None,
        }
        return {
            kind: name,
            "messages": [*system, {"role": "user", "content": sent["prompt"]}],
            "max_output_tokens": sent["max_output_tokens"],
            **{field: value for field, value in optional.items() if value is not None},
        }
