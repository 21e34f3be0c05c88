"""How RoutePlex writes numbers for people: money, shares, durations, counts; and the names of providers.

Also the template library of the same tags and filters, which every template has without loading it.
"""

from decimal import Decimal
from html import escape

from django import template
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from core.numbers.figures import DASH, Money, Number, duration, money_places, money_text, percent

# Those of core.numbers.figures, for modules that also use the functions below.
__all__ = ["DASH", "Money", "Number", "duration", "money_text", "percent"]

register = template.Library()

_EXACT_PLACES = 9  # the ledger is exact to 1e-9 USD
_LEAST = Decimal(1).scaleb(-_EXACT_PLACES)
_SIGNIFICANT = 3


def sum_places(total: Decimal, *parts: Decimal) -> int:
    """The decimals at which the rounded parts add up to the rounded total and none of them vanishes."""
    for places in range(2 if abs(total) >= 1 else money_places(total), _EXACT_PLACES):
        rounded = [round(part, places) for part in parts]
        none_vanishes = [bool(part) for part in rounded] == [bool(part) for part in parts]
        if none_vanishes and sum(rounded) == round(total, places):
            return max(2, *(-int(part.normalize().as_tuple().exponent) for part in rounded))
    return _EXACT_PLACES


def exact_money_text(usd: Money | None) -> str:
    """All digits the ledger has, two decimals at least: "$0.000180" is "$0.00018"; None is a dash."""
    if usd is None:
        return DASH
    exact = Decimal(str(usd)).quantize(Decimal(1).scaleb(-_EXACT_PLACES))
    whole, _, decimals = f"{abs(exact):,f}".partition(".")
    return f"{'−' if exact < 0 else ''}${whole}.{decimals.rstrip('0').ljust(2, '0')}"


@register.simple_tag
def money(usd: Money | None, places: int | None = None) -> SafeString:
    """A sum of money; the exact sum shows on hover and is what gets copied. `places`: see `money_text`."""
    return _money(usd, places)


def _money(usd: Money | None, places: int | None = None) -> SafeString:
    shown = money_text(usd, places)
    if usd is None:
        return mark_safe(f'<span class="faint">{shown}</span>')  # noqa: S308 - digits only, also below
    exact = exact_money_text(usd) if abs(Decimal(str(usd))) >= _LEAST else shown
    title = f' title="{exact}"' if exact != shown else ""
    return mark_safe(f'<data class="money" value="{exact}"{title}>{shown}</data>')  # noqa: S308


register.filter("money_text", money_text)
register.filter("percent", percent)
register.filter("duration", duration)


@register.filter
def less(share: Number | None) -> str:
    """A share that was saved, in words: 0.936 is "93.6% less", −0.2 is "20% more"."""
    if share is None:
        return DASH
    return f"{percent(abs(float(share)))} {'more' if share < 0 else 'less'}"


@register.filter
def points(value: Number | None) -> str:
    """Percentage points without a unit: 0.934 is "93.4", −0.01 is "−1.0"."""
    return DASH if value is None else f"{float(value) * 100:.1f}".replace("-", "−")


@register.filter
def change(value: Number | None) -> str:
    """A relative change: 0.123 is "+12%", −0.5 is "−50%", 3.2 is "4.2×"."""
    if value is None:
        return ""
    value = float(value)
    if value >= 2:
        return f"{value + 1:,.0f}×" if value >= 9 else f"{value + 1:.1f}×"
    hundredths = f"{abs(value) * 100:.0f}"
    if hundredths == "0":
        return "±0%"
    return f"{'+' if value > 0 else '−'}{hundredths}%"


@register.filter
def times(value: Number | None) -> str:
    """A multiple: 2.345 is "2.3×"."""
    if value is None:
        return DASH
    return f"{value:,.0f}×" if value >= 100 else f"{value:.2g}×" if value < 1 else f"{value:.1f}×"


@register.filter
def count(number: Number | None) -> str:
    """With thousands separated: 12345 is "12,345"."""
    return DASH if number in (None, "") else f"{number:,}"


@register.filter
def compact(number: Number | None) -> str:
    """To three digits: 128000 is "128K", 1050000 is "1.05M"."""
    if number is None:
        return DASH
    for size, letter in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if number >= size:
            return f"{_plain_digits(Decimal(str(number)) / size)}{letter}"
    return f"{number:.0f}"


@register.filter
def digits(value: Number | None) -> str:
    """Three significant digits with a true minus, all of a whole part, never in powers of ten."""
    return DASH if value is None else _plain_digits(value).replace("-", "−")


@register.filter
def plain(value: Number | None) -> str:
    """All digits without trailing zeros: 2.500000 is "2.5"."""
    if value in (None, ""):
        return DASH
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def provider_name(name: str) -> str:
    """A provider as people know it: "openai" is "OpenAI"; others as the operator named them."""
    return settings.PROVIDER_NAMES.get(name, name) if name else DASH


@register.filter
def negative_tone(value: Number | None) -> str:
    """The CSS class of a loss: "bad" below zero."""
    return "bad" if value is not None and value < 0 else ""


@register.simple_tag
def compact_count(number: Number | None) -> SafeString:
    """`compact`, with the exact count on hover and in what gets copied."""
    shown, exact = compact(number), count(number)
    if shown == exact:
        return mark_safe(shown)  # noqa: S308 - digits only
    return mark_safe(f'<data class="money" value="{exact}" title="{escape(exact)}">{shown}</data>')  # noqa: S308


def _plain_digits(value: Number) -> str:
    exact = Decimal(str(value))
    if not exact:
        return "0"
    text = format(round(exact, max(_SIGNIFICANT - 1 - exact.adjusted(), 0)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
