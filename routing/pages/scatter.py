"""The candidates as a picture: where each stands in expected cost and predicted success, in SVG coordinates.

Pure geometry; templates/pages/_scatter.html draws it. Cost is on a logarithmic axis, because arms differ by
factors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 960.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 24.0, 20.0, 44.0
_CHARACTER = 6.7  # mean width of a label's character
_LABEL_HEIGHT = 14.0
_CLEAR = 9.0  # between a point and its label


@dataclass(frozen=True)
class Point:
    """One candidate: USD (0 for free arms), shares of 1. `low` and `high` bound `p`."""

    name: str
    usd: float
    p: float
    low: float
    high: float
    chosen: bool = False


@dataclass(frozen=True)
class Mark:
    """A point in place. `label` is empty where there is no room for it; `anchor` is SVG's text-anchor."""

    point: Point
    x: float
    y: float
    low_y: float
    high_y: float
    on_frontier: bool
    label: str = ""
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Tick:
    at: float
    value: float


@dataclass(frozen=True)
class Scatter:
    """All a template needs to draw. `frontier` is a path's `d`; ticks are in USD and shares of 1."""

    marks: Sequence[Mark]
    frontier: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    middle_x: float = (LEFT + WIDTH - RIGHT) / 2
    middle_y: float = (TOP + HEIGHT - BOTTOM) / 2


def scatter(points: Sequence[Point]) -> Scatter | None:
    """The picture, or None where fewer than two candidates leave nothing to compare."""
    if len(points) < 2:
        return None
    x_of, x_ticks = _cost_axis([point.usd for point in points])
    y_of, y_ticks = _success_axis(points)
    edge = frontier(points)
    names = {point.name for point in edge}
    marks = [
        Mark(
            point=point,
            x=x_of(point.usd),
            y=y_of(point.p),
            low_y=y_of(point.low),
            high_y=y_of(point.high),
            on_frontier=point.name in names,
        )
        for point in sorted(points, key=lambda point: point.chosen)  # the chosen one is drawn on top
    ]
    return Scatter(
        marks=_labelled(marks),
        frontier=_path([(x_of(point.usd), y_of(point.p)) for point in edge]),
        x_ticks=x_ticks,
        y_ticks=y_ticks,
    )


def frontier(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats on both axes, cheapest first."""
    edge: list[Point] = []
    for point in sorted(points, key=lambda point: (point.usd, -point.p)):
        if not edge or point.p > edge[-1].p:
            edge.append(point)
    return edge


class _Scale:
    """A linear map of values to a pixel range; values outside end at its border."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span, self._start, self._end = low, (high - low) or 1.0, start, end

    def __call__(self, value: float) -> float:
        share = min(max((value - self._low) / self._span, 0.0), 1.0)
        return round(self._start + share * (self._end - self._start), 1)


class _LogScale(_Scale):
    def __call__(self, value: float) -> float:
        return super().__call__(math.log10(value) if value > 0 else -math.inf)


def _cost_axis(costs: Sequence[float]) -> tuple[_LogScale, list[Tick]]:
    """Free arms stand at the left border."""
    paid = [cost for cost in costs if cost > 0] or [1e-6]
    low, high = math.log10(min(paid)), math.log10(max(paid))
    margin = max(0.08 * (high - low), 0.15)
    low, high = low - margin, high + margin
    scale = _LogScale(low, high, LEFT, WIDTH - RIGHT)
    steps = (1,) if high - low > 2 else (1, 2, 5)
    values = [
        step * 10.0**exponent
        for exponent in range(math.floor(low), math.ceil(high) + 1)
        for step in steps
        if low <= math.log10(step * 10.0**exponent) <= high
    ]
    return scale, [Tick(scale(value), value) for value in values]


def _success_axis(points: Sequence[Point]) -> tuple[_Scale, list[Tick]]:
    low = math.floor(min(min(point.low, point.p) for point in points) * 10 - 1e-9)
    high = math.ceil(max(max(point.high, point.p) for point in points) * 10 + 1e-9)
    low, high = max(low, 0), min(max(high, low + 1), 10)
    scale = _Scale(low / 10, high / 10, HEIGHT - BOTTOM, TOP)
    step = 1 if high - low <= 6 else 2
    return scale, [Tick(scale(tenth / 10), tenth / 10) for tenth in range(low, high + 1, step)]


def _path(corners: Sequence[tuple[float, float]]) -> str:
    """Stairs: between two arms of the frontier, money buys nothing until the dearer can be paid."""
    steps = [f"M{corners[0][0]} {corners[0][1]}"]
    for x, y in corners[1:]:
        steps.append(f"H{x}V{y}")
    return "".join(steps)


def _labelled(marks: Sequence[Mark]) -> list[Mark]:
    """Names for the chosen arm and those of the frontier, then for others, as far as there is room."""
    taken = [(mark.x - 6, mark.y - 6, mark.x + 6, mark.y + 6) for mark in marks]
    order = sorted(range(len(marks)), key=lambda i: (not marks[i].point.chosen, not marks[i].on_frontier))
    labelled = list(marks)
    for i in order:
        placed = _place_label(marks[i], taken)
        if placed is None:
            continue
        (x, y, anchor), box = placed
        taken.append(box)
        labelled[i] = Mark(
            **vars(marks[i]) | {"label": marks[i].point.name, "label_x": x, "label_y": y, "anchor": anchor}
        )
    return labelled


_Box = tuple[float, float, float, float]


def _place_label(mark: Mark, taken: Sequence[_Box]) -> tuple[tuple[float, float, str], _Box] | None:
    """The first free place around a mark: (x, baseline y, anchor) and its box."""
    width = len(mark.point.name) * _CHARACTER
    for dx, dy, anchor in (
        (_CLEAR, 4.0, "start"),
        (-_CLEAR, 4.0, "end"),
        (0.0, -_CLEAR - 2, "middle"),
        (0.0, _CLEAR + 11, "middle"),
    ):
        x, y = round(mark.x + dx, 1), round(mark.y + dy, 1)
        left = {"start": x, "end": x - width, "middle": x - width / 2}[anchor]
        box = (left, y - _LABEL_HEIGHT + 3, left + width, y + 3)
        inside = box[0] >= LEFT and box[2] <= WIDTH - 2 and box[1] >= 2 and box[3] <= HEIGHT - BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            return (x, y, anchor), box
    return None


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
