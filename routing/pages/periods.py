"""The periods that Home, Usage and Savings offer, under the same names: so many days, today included."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

DAYS = {"today": 1, "7d": 7, "30d": 30, "90d": 90}
TITLES = {"today": "Today", "7d": "7 days", "30d": "30 days", "90d": "90 days", "12m": "12 months"}


@dataclass(frozen=True)
class Choice:
    """One link of the picker of periods."""

    title: str
    url: str
    is_current: bool


def choices(current: str, names: Iterable[str] = DAYS, **others: str) -> list[Choice]:
    """The links of `?period=`; `others`: further parameters that they keep."""
    return [
        Choice(TITLES[name], f"?{urlencode({'period': name} | others)}", name == current) for name in names
    ]
