"""Savings' pictures: paid against the baseline, summed up by day; strategies by cost and quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate

from billing.reports.measures import Sums, usd
from core.formats import money_text, percent
from routing.pages.chart import Chart, Column
from routing.pages.savings.queries import Savings
from routing.replay.what_if import WhatIf

WIDTH, HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 100, 16, 40  # margins, px
_TICKS = 4
_RANGE = "Baseline, 90% range"


def cumulative(savings: Savings, zone: str) -> Chart:
    """Paid and the baseline's cost up to each day, with the 90 % interval of the baseline's forecasts.

    The days before the first request have no value: a line from 0 would slope to what came in a day.
    """
    first = next((at for at, day in enumerate(savings.daily) if day.compared), 0)

    def sums(nano: Iterable[int]) -> list[Decimal | None]:
        return [None if at < first else usd(total) for at, total in enumerate(accumulate(nano))]

    def known(day: Sums) -> int:
        return day.baseline_nano - day.forecast_nano

    days = savings.daily
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
    return Chart(
        slug="savings",
        title="Paid and baseline, summed up by day",
        zone=zone,
        moments=savings.starts,
        labels=[f"{day:%a %-d %b}" for day in savings.starts],
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
    most_usd = max(usd for _, usd, _ in points) * 1.08 or 1.0
    least = max(0.0, min(share for *_, share in points) - 0.02)
    most = min(1.0, max(share for *_, share in points) + 0.02)

    def x(usd: float) -> float:
        return round(_LEFT + max(usd, 0.0) / most_usd * (WIDTH - _LEFT - _RIGHT), 1)

    def y(share: float) -> float:
        return round(_TOP + (most - share) / (most - least) * (HEIGHT - _TOP - _BOTTOM), 1)

    steps = [step / _TICKS for step in range(_TICKS + 1)]
    return Dots(
        dots=_joined(
            Dot(x(usd), y(share), name, f"{money_text(usd)}, {percent(share)}", _kind(name, own))
            for name, usd, share in points
        ),
        x_ticks=[Tick(x(most_usd * step), money_text(most_usd * step)) for step in steps],
        y_ticks=[
            Tick(y(least + (most - least) * step), percent(least + (most - least) * step)) for step in steps
        ],
    )


def _joined(dots: Iterable[Dot]) -> list[Dot]:
    """Dots on one spot as one dot with all their names."""
    spots: dict[tuple[float, float], Dot] = {}
    for dot in dots:
        there = spots.get((dot.x, dot.y))
        spots[dot.x, dot.y] = (
            replace(there, name=f"{there.name}, {dot.name}", kind=there.kind or dot.kind) if there else dot
        )
    return list(spots.values())


def _kind(name: str, own: str) -> str:
    return "is-own" if name == own else "is-paid" if name == "what you paid" else ""
