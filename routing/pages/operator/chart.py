"""The calibration chart: predicted success against feedback, with intervals, in SVG coordinates."""

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


def plot(calibration: Calibration) -> Plot | None:
    """None without outcomes."""
    if not calibration.bins:
        return None
    most = max(bin_.outcomes for bin_ in calibration.bins)
    points = [_point(bin_, most) for bin_ in calibration.bins]
    return Plot(points, [(_x(t), _y(t), f"{t:.0%}") for t in _TICKS])


def _point(bin_: Bin, most: int) -> Point:
    return Point(
        x=_x(bin_.expected),
        y=_y(bin_.observed),
        high_y=_y(bin_.high),
        low_y=_y(bin_.low),
        radius=round(max(_LEAST, _MOST * (bin_.outcomes / most) ** 0.5), 1),
        title=f"predicted {bin_.expected:.0%}, observed {bin_.observed:.0%}, {bin_.outcomes} outcomes",
    )


def _x(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _y(share: float) -> float:
    return round(BOTTOM - share * (BOTTOM - TOP), 1)
