"""How the dashboard writes numbers: durations, shares, tokens, changes. `{% load pages %}`"""

from decimal import Decimal

from django import template

from routing.decide.prediction.skills import WORDS

register = template.Library()

_DASH = "—"


@register.filter
def duration(ms: float | None) -> str:
    """812 → "812 ms", 1240 → "1.24 s", 75000 → "1 min 15 s"."""
    if ms is None:
        return _DASH
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1_000:.2f} s" if ms < 9_995 else f"{ms / 1_000:.1f} s"
    minutes, seconds = divmod(round(ms / 1_000), 60)
    return f"{minutes} min {seconds} s"


@register.filter
def share(value: float | None) -> str:
    """0.934 → "93.4 %"; near the ends with < and >, so that only 0 and 1 read as 0 % and 100 %."""
    if value is None:
        return _DASH
    percent = value * 100
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


@register.filter
def rounded(usd: float | None, places: int) -> float | None:
    """An estimate in USD rounded to its meaningful digits."""
    return None if usd is None else round(usd, places)


@register.filter
def points(value: float | None) -> str:
    """A probability in percent, without the sign: 0.934 → "93.4"."""
    return _DASH if value is None else f"{value * 100:.1f}"


@register.filter
def percent(value: float | None) -> str:
    """A probability in percent without a trailing .0: 0.995 → "99.5 %", 0.95 → "95 %"."""
    return _DASH if value is None else f"{value * 100:.1f}".removesuffix(".0") + " %"


@register.filter
def change(value: float | None) -> str:
    """A relative change: 0.123 → "+12 %", −0.5 → "−50 %", 3.2 → "4.2 ×"."""
    if value is None:
        return ""
    if value >= 2:
        return f"{value + 1:,.0f} ×" if value >= 9 else f"{value + 1:.1f} ×"
    percent = f"{abs(value) * 100:.0f}"
    if percent == "0":
        return "±0 %"
    return f"{'+' if value > 0 else '−'}{percent} %"


@register.filter
def tokens(count: int | None) -> str:
    """With thousands separated: 12345 → "12,345"."""
    return _DASH if count is None else f"{count:,}"


@register.filter
def compact(count: float | None) -> str:
    """A window or a cap, short: 128000 → "128K", 1050000 → "1.05M"."""
    if count is None:
        return _DASH
    for size, letter in ((1_000_000, "M"), (1_000, "K")):
        if count >= size:
            return f"{count / size:.2f}".rstrip("0").rstrip(".") + letter
    return f"{count:.0f}"


@register.filter
def usd_short(usd: Decimal | float | None) -> str:
    """An estimate to three digits, never in powers of ten: 0.0000123 → "$0.0000123"."""
    if usd is None:
        return _DASH
    return "$" + _three_digits(usd)


@register.filter
def skill(name: str) -> str:
    """A skill as the decision's sentences call it: "humanities" → "general knowledge"."""
    return WORDS.get(name, words(name)) if name else _DASH  # type: ignore[call-overload]


@register.filter
def words(name: str) -> str:
    """An identifier in words: "competition_math" → "competition math"."""
    return name.replace("_", " ") if name else _DASH


@register.simple_tag
def arm(model: str, effort: str | None) -> str:
    """A model with its reasoning effort, as the trace names arms."""
    if effort == "none":
        return f"{model} · no reasoning"
    return f"{model} · {effort}" if effort else model


@register.filter
def signed(value: float | None) -> str:
    """A utility to three digits with a true minus."""
    return _DASH if value is None else _three_digits(value).replace("-", "−")


@register.filter
def times(value: float | None) -> str:
    """A multiple of what was paid: 2.345 → "2.3 ×"."""
    if value is None:
        return _DASH
    return f"{value:,.0f} ×" if value >= 100 else f"{value:.2g} ×" if value < 1 else f"{value:.1f} ×"


@register.filter
def plain(value: Decimal | None) -> str:
    """A unit price without trailing zeros: 2.500000 → "2.5"."""
    if value in (None, ""):
        return _DASH
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def negative_tone(value: Decimal | None) -> str:
    """The CSS class of a loss: "bad" below zero."""
    return "bad" if value is not None and value < 0 else ""


@register.filter
def add_px(value: float, offset: float) -> float:
    """SVG coordinates: `add` truncates, this does not."""
    return round(value + offset, 1)


@register.filter
def percent_px(value: float) -> float:
    """A share of 1 as a width in a viewBox 100 wide."""
    return round(value * 100, 2)


@register.filter
def percent_of(value: float) -> str:
    """A share that may be negative: −0.12 → "−12 %"."""
    return f"{value * 100:.0f} %".replace("-", "−")


def _three_digits(value: Decimal | float) -> str:
    """Three significant digits, all of a whole part, never in powers of ten."""
    exact = Decimal(str(value))
    if not exact:
        return "0"
    text = format(round(exact, max(2 - exact.adjusted(), 0)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
