"""Choices and checks that several forms share."""

from collections.abc import Iterable, Mapping
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError

from accounts import model_ids

STRATEGIES = [  # docs/strategies.md explains the five strategies
    ("auto", "Auto: cheapest good answer"),
    ("balanced", "Balanced: quality, cost and speed alike"),
    ("cost", "Cost: the cheapest that can do it"),
    ("quality", "Quality: the best answer"),
    ("speed", "Speed: the fastest answer"),
]

MODEL_RULES_HELP = (
    "One per line: a model's id, such as gpt-5-mini, or openai/* for all models of a provider. A minus in "
    "front excludes: -openai/*. Leave it empty to allow all models; exclusions alone allow all others."
)

_OLD_NAMES = ("Etc/", "SystemV/", "US/", "posix/", "right/")


def time_zones() -> list[tuple[str, str]]:
    """UTC first, then the zones named for a place."""
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith(_OLD_NAMES))
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in names)]


def check_model_ids(ids: Iterable[str]) -> None:
    """Raises ValidationError with one message for each id the catalog doesn't have."""
    _refuse(model_ids.unknown(list(ids)))


def check_model_rules(entries: Iterable[str]) -> None:
    """Raises ValidationError with one message for each rule about an unknown model or provider."""
    _refuse(model_ids.unknown_rules(list(entries)))


def _refuse(unknown: Mapping[str, list[str]]) -> None:
    errors = []
    for name, near in unknown.items():
        meant = f" Did you mean {', '.join(near)}?" if near else ""
        what = "provider" if name.endswith("/*") else "model"
        errors.append(f"There is no {what} “{name.removeprefix('-')}”.{meant}")
    if errors:
        raise ValidationError(errors)
