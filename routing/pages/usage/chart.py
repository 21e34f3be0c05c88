"""The usage report as stacked bars in SVG coordinates; `usage/_chart.html` draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.reports.measures import usd
from routing.pages.usage.queries import Group, Report

WIDTH, HEIGHT = 960, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 952, 12, 228
COLOURS = 6  # of the palette; the last is for all further groups
_TICKS = 4
_LABELS = 10  # below the axis at most


@dataclass(frozen=True)
class Bar:
    """One group's part of one bucket."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


@dataclass(frozen=True)
class Mark:
    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    bars: Sequence[Bar]
    legend: Sequence[tuple[int, str]]
    x_marks: Sequence[Mark]
    y_marks: Sequence[Mark]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    bottom: int = BOTTOM


def chart(report: Report) -> Chart | None:
    """None where nothing was spent."""
    columns = [
        sum(group.by_bucket[at].cost_nano for group in report.groups) for at in range(len(report.buckets))
    ]
    if not any(columns):
        return None
    step = _nice(max(columns) / _TICKS)
    top = step * math.ceil(max(columns) / step)
    scale, slot = (BOTTOM - TOP) / top, (RIGHT - LEFT) / len(columns)
    stacks = _stacks(report.groups)
    bars = []
    for at, bucket in enumerate(report.buckets):
        base = float(BOTTOM)
        for colour, name, values in stacks:
            height = values[at] * scale
            if height:
                base -= height
                title = f"{bucket.day:%-d %b %Y}, {name}: ${usd(values[at]):.6f}"
                bars.append(
                    Bar(
                        round(LEFT + slot * (at + 0.12), 2),
                        round(base, 2),
                        round(slot * 0.76, 2),
                        round(height, 2),
                        colour,
                        title,
                    )
                )
    every = math.ceil(len(columns) / _LABELS)
    form = "%b" if report.per == "month" else "%-d %b"
    return Chart(
        bars=bars,
        legend=[(colour, name) for colour, name, _ in stacks],
        x_marks=[
            Mark(round(LEFT + slot * (at + 0.5), 2), bucket.day.strftime(form))
            for at, bucket in enumerate(report.buckets)
            if (len(columns) - 1 - at) % every == 0
        ],
        y_marks=[
            Mark(round(BOTTOM - value * scale, 2), _short(value)) for value in range(0, int(top) + 1, step)
        ],
    )


def _stacks(groups: Sequence[Group]) -> list[tuple[int, str, list[int]]]:
    """Colour, name and cost by bucket, in billionths; what has no colour of its own is one stack."""
    own = groups if len(groups) <= COLOURS else groups[: COLOURS - 1]
    stacks = [
        (at + 1, group.name, [sums.cost_nano for sums in group.by_bucket]) for at, group in enumerate(own)
    ]
    if rest := groups[len(own) :]:
        columns = zip(*([sums.cost_nano for sums in group.by_bucket] for group in rest), strict=True)
        stacks.append((COLOURS, f"{len(rest)} others", [sum(column) for column in columns]))
    return stacks


def _nice(value: float) -> int:
    """The next of 1, 2, 2.5 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return int(next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= value)) or 1


def _short(nano: int) -> str:
    text = f"{Decimal(nano).scaleb(-9).normalize():f}"
    return f"${text}"
