"""Calibration as a picture: predicted success against what people said, with intervals; places in an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from routing.learning.calibration import Bin, Calibration

SIZE, LEFT, TOP, RIGHT, BOTTOM = 360, 44, 12, 348, 316
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST, _MOST = 3.0, 9.0  # radius


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    high_y: float
    low_y: float
    radius: float
    title: str


@dataclass(frozen=True)
class Plot:
    points: Sequence[Point]
    ticks: Sequence[tuple[float, float, str]]  # along x, along y, words
    size: int = SIZE
    left: int = LEFT
    top: int = TOP
    right: int = RIGHT
    bottom: int = BOTTOM


def plot(found: Calibration) -> Plot | None:
    """None without outcomes."""
    if not found.bins:
        return None
    most = max(one.outcomes for one in found.bins)
    return Plot([_point(one, most) for one in found.bins], [(_x(t), _y(t), f"{t:.0%}") for t in _TICKS])


def _point(one: Bin, most: int) -> Point:
    return Point(
        x=_x(one.expected),
        y=_y(one.observed),
        high_y=_y(one.high),
        low_y=_y(one.low),
        radius=round(max(_LEAST, _MOST * (one.outcomes / most) ** 0.5), 1),
        title=f"predicted {one.expected:.0%}, seen {one.observed:.0%}, {one.outcomes} outcomes",
    )


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)
