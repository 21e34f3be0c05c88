"""Figures in words: money, shares and durations, by the rules that pages and the decision's sentences share.

Without Django, so that the decision may use them. core/numbers/formats.py has the template tags and filters.
"""

from decimal import Decimal

Number = Decimal | float | int
Money = Number | str  # text: of a JSON document
DASH = "—"
_SIGNIFICANT = 3


def money_text(usd: Money | None, places: int | None = None) -> str:
    """Two decimals from $1, three significant digits below: "$1,234.50", "$0.0123"; None is a dash.

    `places`: exactly so many decimals instead, for sums that stand beside their parts.
    """
    if usd is None:
        return DASH
    exact = Decimal(str(usd))
    usual = 2 if abs(exact) >= 1 else money_places(exact)
    rounded = abs(round(exact, usual if places is None else places))
    whole, _, decimals = f"{rounded:,f}".partition(".")
    if places is None:
        decimals = decimals.rstrip("0").ljust(2, "0")
    return f"{'−' if exact < 0 and rounded else ''}${whole}.{decimals}"


def percent(value: Number | None) -> str:
    """A share of 1: 0.934 is "93.4%". Near the ends "<0.1%" and ">99.9%": only 0 and 1 are 0% and 100%."""
    if value is None:
        return DASH
    hundredths = float(value) * 100
    if 0 < hundredths < 0.1:
        return "<0.1%"
    if 99.9 < hundredths < 100:
        return ">99.9%"
    return f"{hundredths:.1f}".removesuffix(".0").replace("-", "−") + "%"


def duration(ms: Number | None) -> str:
    """812 ms, 1.24 s, 1 min 15 s, 2 h 5 min, 3 d 4 h."""
    if ms is None:
        return DASH
    ms = float(ms)
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1_000:.2f} s" if ms < 9_995 else f"{ms / 1_000:.1f} s"
    for large, small, unit_s in (("min", "s", 60), ("h", "min", 3_600), ("d", "h", 86_400)):
        step_s = {"s": 1, "min": 60, "h": 3_600}[small]
        whole, rest = divmod(round(ms / 1_000 / step_s), unit_s // step_s)
        if large == "d" or whole < {"min": 60, "h": 24}[large]:
            break
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def money_places(value: Decimal) -> int:
    """Decimals that leave three significant digits below 1; two at least."""
    return max(_SIGNIFICANT - 1 - value.adjusted(), 2) if value else 2
