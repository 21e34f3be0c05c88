"""Charts as templates draw them: a table whose columns say how chart.js draws them, and sparklines.

A page's figures are in its tables; the picture is drawn from those, so the two can't disagree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.formats import DASH, count, duration, exact_money_text, money_text

_SPARK_WIDTH, _SPARK_HEIGHT = 100, 24

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
    """`kind`: area, line, bars, stack, low or high, or empty for figures that are only in the table.

    `tone`: 1 to 6 or "bad"; `unit`: count, usd or ms.
    """

    title: str
    unit: str
    values: Sequence[Value]
    kind: str = ""
    tone: str = "1"

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
    def drawn(self) -> list[Column]:
        return [column for column in self.columns if column.kind]


def sparkline(values: Sequence[Value]) -> tuple[str, str]:
    """The line and the area under it as SVG paths in a box of 100 by 24; empty for fewer than two values.

    Parts without a value are left out.
    """
    numbers = [float(value) for value in values if value is not None]
    if len(numbers) < 2 or not any(numbers):
        return "", ""
    least, most = min(0.0, *numbers), max(0.0, *numbers)
    across, up = _SPARK_WIDTH / (len(numbers) - 1), (_SPARK_HEIGHT - 2) / (most - least)
    points = [
        f"{at * across:.1f},{_SPARK_HEIGHT - 1 - (number - least) * up:.1f}"
        for at, number in enumerate(numbers)
    ]
    line = "M" + " L".join(points)
    return line, f"{line} L{_SPARK_WIDTH},{_SPARK_HEIGHT} L0,{_SPARK_HEIGHT} Z"
