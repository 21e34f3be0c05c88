"""Savings' pictures: paid against the baseline, summed up by day; strategies by cost and quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate
from math import ceil, floor, log10

from billing.reports.measures import Sums, usd
from core.numbers.formats import money_text, percent
from routing.pages.chart import Chart, Column
from routing.pages.savings.queries import Savings
from routing.replay.what_if import WhatIf

WIDTH, HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 100, 16, 40  # margins, px
_TICKS = 4
_CHARACTER, _LINE, _DOT = 7.4, 15.0, 6.0  # of labels and dots, px
_RANGE = "Baseline, 90% range"


def cumulative(savings: Savings, zone: str) -> Chart:
    """Paid and the baseline's cost up to each day (or hour), and the 90 % interval of its forecasts.

    The days before the first request have no value: a line from 0 would slope to what came in a day.
    """
    first = next((at for at, day in enumerate(savings.parts) if day.compared), 0)

    def sums(nano: Iterable[int]) -> list[Decimal | None]:
        return [None if at < first else usd(total) for at, total in enumerate(accumulate(nano))]

    def known(day: Sums) -> int:
        return day.baseline_nano - day.forecast_nano

    days = savings.parts
    columns = [
        Column("Paid", "usd", sums(day.compared_nano for day in days), "area", "1"),
        Column("Baseline", "usd", sums(day.baseline_nano for day in days), "dashes", "3"),
    ]
    if savings.by_forecast:
        lows = sums(known(day) + day.forecast_low_nano for day in days)
        highs = sums(known(day) + day.forecast_high_nano for day in days)
        columns += [
            Column("Baseline, low", "usd", lows, "low", "3"),
            Column("Baseline, high", "usd", highs, "high", "3", _RANGE),
        ]
    words = "%H:%M" if savings.per == "hour" else "%a %-d %b"
    return Chart(
        slug="savings",
        title=f"Paid and baseline, summed up by {savings.per}",
        zone=zone,
        moments=savings.starts,
        labels=[f"{start:{words}}" for start in savings.starts],
        columns=columns,
    )


@dataclass(frozen=True)
class Dot:
    """`kind`: "is-own" for the account's default, "is-paid" for what happened, or empty."""

    x: float
    y: float
    name: str
    text: str
    kind: str
    label_y: float = 0.0  # of the label's baseline

    @property
    def label(self) -> str:
        return f"{self.name} (yours)" if self.kind == "is-own" else self.name


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Dots:
    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def dots(rows: Sequence[tuple[str, WhatIf]], own: str) -> Dots | None:
    """Strategies by cost a request and chance of a good answer; None without any."""
    if not rows:
        return None
    points = [(name, result.cost_usd.value, result.success.value) for name, result in rows]
    points.append(("what you paid", rows[0][1].paid_usd, rows[0][1].success_was))
    usd_ticks = _round_values(0.0, max(usd for _, usd, _ in points) * 1.02 or 1.0)
    share_ticks = _round_values(
        max(0.0, min(share for *_, share in points) - 0.01),
        min(1.0, max(share for *_, share in points) + 0.01),
    )
    most_usd, least, most = usd_ticks[-1], share_ticks[0], share_ticks[-1]

    def x(usd: float) -> float:
        return round(_LEFT + max(usd, 0.0) / most_usd * (WIDTH - _LEFT - _RIGHT), 1)

    def y(share: float) -> float:
        return round(_TOP + (most - share) / (most - least) * (HEIGHT - _TOP - _BOTTOM), 1)

    return Dots(
        dots=_labelled(
            _joined(
                Dot(x(usd), y(share), name, f"{money_text(usd)}, {percent(share)}", _kind(name, own))
                for name, usd, share in points
            )
        ),
        x_ticks=[Tick(x(usd), money_text(usd)) for usd in usd_ticks],
        y_ticks=[Tick(y(share), percent(share)) for share in share_ticks],
    )


def _round_values(low: float, high: float) -> list[float]:
    """At most six round values, evenly spaced, that enclose both ends."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(count * step, 12) for count in range(first, last + 1)]


def _joined(dots: Iterable[Dot]) -> list[Dot]:
    """Dots on one spot as one dot with all their names."""
    spots: dict[tuple[float, float], Dot] = {}
    for dot in dots:
        there = spots.get((dot.x, dot.y))
        spots[dot.x, dot.y] = (
            replace(there, name=f"{there.name}, {dot.name}", kind=there.kind or dot.kind) if there else dot
        )
    return list(spots.values())


def _labelled(dots: Sequence[Dot]) -> list[Dot]:
    """Place each label beside its dot, or above or below it where it meets no other label or dot."""
    labelled: list[Dot] = []
    for dot in dots:
        others = [other for other in dots if other is not dot]
        lines = (dot.y + 4 + step * _LINE for step in (0, -1, 1, -2, 2, -3))
        free = (at for at in lines if not _collides(dot, at, labelled, others))
        labelled.append(replace(dot, label_y=round(next(free, dot.y + 4), 1)))
    return labelled


def _collides(dot: Dot, at: float, labelled: Sequence[Dot], others: Sequence[Dot]) -> bool:
    left, right = dot.x + 11, dot.x + 11 + len(dot.label) * _CHARACTER
    for other in labelled:
        its_right = other.x + 11 + len(other.label) * _CHARACTER
        if left < its_right and other.x + 11 < right and abs(at - other.label_y) < _LINE:
            return True
    return any(
        left < other.x + _DOT and other.x - _DOT < right and abs(at - 4 - other.y) < 12 for other in others
    )


def _kind(name: str, own: str) -> str:
    return "is-own" if name == own else "is-paid" if name == "what you paid" else ""
