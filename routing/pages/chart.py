"""Charts as templates draw them: a table whose columns say how chart.js draws them, and sparklines.

A page's figures are in its tables; the picture is drawn from those, so the two can't disagree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from core.numbers.formats import DASH, count, duration, exact_money_text, money_text

_SPARK_WIDTH, _SPARK_HEIGHT = 100, 24
_LONE_WIDTH = 4.0  # of a value between two gaps
_BAR_SHARE = 0.75  # of a part's width

Value = Decimal | float | int | None
_TEXTS: dict[str, Callable[[Value], str]] = {"usd": money_text, "count": count, "ms": duration}


@dataclass(frozen=True)
class Cell:
    """`value`: the number that is drawn, or empty; `text`: what is read; `exact`: on hover."""

    value: str
    text: str
    exact: str = ""


@dataclass(frozen=True)
class Column:
    """`kind`: area, line, dashes, bars, stack, low or high, or empty for figures that are only in the table.

    `low` and `high` are the edges of one band, which has one entry in the legend, that of `high`.
    `tone`: 1 to 6 or "bad"; `unit`: count, usd or ms, the same for all that is drawn; `key`: its words in the
    legend, where they are not the title.
    """

    title: str
    unit: str
    values: Sequence[Value]
    kind: str = ""
    tone: str = "1"
    key: str = ""

    def cell(self, at: int) -> Cell:
        value = self.values[at]
        if value is None:
            return Cell("", DASH)
        text = _TEXTS[self.unit](value)
        exact = exact_money_text(value) if self.unit == "usd" else ""
        return Cell(f"{value:f}" if isinstance(value, Decimal) else str(value), text, exact)


@dataclass(frozen=True)
class Row:
    x: int  # Unix seconds
    label: str
    cells: list[Cell]


@dataclass(frozen=True)
class Chart:
    """`title` and `note` describe it to those who do not see it; `zone` is the time zone of its axis."""

    slug: str
    title: str
    zone: str
    moments: Sequence[datetime]
    labels: Sequence[str]
    columns: Sequence[Column]
    height: int = 240  # px

    @property
    def rows(self) -> list[Row]:
        return [
            Row(int(moment.timestamp()), label, [column.cell(at) for column in self.columns])
            for at, (moment, label) in enumerate(zip(self.moments, self.labels, strict=True))
        ]

    @property
    def keys(self) -> list[tuple[int, str]]:
        """The legend: which column an entry stands for, and its words."""
        return [
            (at, column.key or column.title)
            for at, column in enumerate(self.columns)
            if column.kind and column.kind != "low"
        ]


@dataclass(frozen=True)
class Spark:
    """A picture without axes, as SVG paths in a box of 100 by 24: bars, or a line and the area under it."""

    line: str = ""
    area: str = ""
    bars: str = ""


def sparkline(values: Sequence[Value]) -> Spark:
    """Empty for fewer than two values. A part without a value is a gap, and a lone value a dash."""
    if not (scale := _spark_scale(values)):
        return Spark()
    across = _SPARK_WIDTH / (len(values) - 1)
    points = [None if value is None else (at * across, scale(value)) for at, value in enumerate(values)]
    lines, areas = [], []
    for is_gap, run in groupby(points, key=lambda point: point is None):
        if is_gap:
            continue
        drawn = [point for point in run if point]
        if len(drawn) == 1:
            x, y = drawn[0]
            left = min(max(x - _LONE_WIDTH / 2, 0), _SPARK_WIDTH - _LONE_WIDTH)
            lines.append(_path((left, y), (left + _LONE_WIDTH, y)))
        else:
            lines.append(_path(*drawn))
            areas.append(_path(*drawn, (drawn[-1][0], _SPARK_HEIGHT), (drawn[0][0], _SPARK_HEIGHT)) + " Z")
    return Spark(line=" ".join(lines), area=" ".join(areas))


def sparkbars(values: Sequence[Value]) -> Spark:
    """For sums: a part without anything is 0. Negative values hang below the line of 0."""
    if not (scale := _spark_scale(values)):
        return Spark()
    across, zero = _SPARK_WIDTH / len(values), scale(0)
    bars = []
    for at, value in enumerate(values):
        if value:
            left, right, end = at * across, (at + _BAR_SHARE) * across, scale(value)
            bars.append(_path((left, zero), (left, end), (right, end), (right, zero)) + " Z")
    return Spark(bars=" ".join(bars))


def _spark_scale(values: Sequence[Value]) -> Callable[[Decimal | float | int], float] | None:
    """From a value to its height in the box; None when there is nothing to draw."""
    numbers = [float(value) for value in values if value is not None]
    if len(numbers) < 2 or not any(numbers):
        return None
    least, most = min(0.0, *numbers), max(0.0, *numbers)
    up = (_SPARK_HEIGHT - 2) / (most - least)
    return lambda value: _SPARK_HEIGHT - 1 - (float(value) - least) * up


def _path(*points: tuple[float, float]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
