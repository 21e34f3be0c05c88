"""The scatter chart of candidates, expected cost against predicted success, in SVG coordinates.

Pure geometry; the template `request_detail/_scatter.html` draws it. Cost has a logarithmic axis because arms
differ by factors. Success has a log-odds axis because 99 % fails half as often as 98 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 960.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 24.0, 20.0, 44.0
_CHARACTER = 6.7  # mean width of a label's character
_LABEL_HEIGHT = 14.0
_SUCCESS_TICKS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_TICK_GAP = 22.0
_NEVER = 0.0005  # and its complement: where the success axis ends
_CLEAR = 9.0  # between a point and its label


@dataclass(frozen=True)
class Point:
    """One candidate: USD (0 for free arms), shares of 1. `low` and `high` bound `p`.

    `name` is unique; `text`, if any, is what people read.
    """

    name: str
    usd: float
    p: float
    low: float
    high: float
    chosen: bool = False
    reason: str = ""  # why it lost
    text: str = ""

    @property
    def shown(self) -> str:
        return self.text or self.name


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

    @property
    def above_chosen(self) -> Point | None:
        """The likeliest to succeed of those that beat the chosen one on both axes; None on the frontier."""
        chosen = next((mark.point for mark in self.marks if mark.point.chosen and not mark.on_frontier), None)
        if chosen is None:
            return None
        edge = (mark.point for mark in self.marks if mark.on_frontier and mark.point.usd <= chosen.usd)
        return max(edge, key=lambda point: point.p, default=None)


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


class _OddsScale(_Scale):
    def __call__(self, value: float) -> float:
        return super().__call__(_log_odds(value))


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


def _success_axis(points: Sequence[Point]) -> tuple[_OddsScale, list[Tick]]:
    """From the least to the most likely, the chosen one's interval included."""
    shown = [point.p for point in points]
    shown += [bound for point in points if point.chosen for bound in (point.low, point.high)]
    low, high = _log_odds(min(shown)), _log_odds(max(shown))
    margin = max(0.06 * (high - low), 0.25)
    low, high = low - margin, high + margin
    scale = _OddsScale(low, high, HEIGHT - BOTTOM, TOP)
    ticks: list[Tick] = []
    for value in _SUCCESS_TICKS:
        inside = low <= _log_odds(value) <= high
        if inside and (not ticks or ticks[-1].at - scale(value) >= _TICK_GAP):
            ticks.append(Tick(scale(value), value))
    return scale, ticks


def _log_odds(p: float) -> float:
    bounded = min(max(p, _NEVER), 1 - _NEVER)
    return math.log(bounded / (1 - bounded))


def _path(corners: Sequence[tuple[float, float]]) -> str:
    """Stairs: between two arms of the frontier, more money buys nothing until the next arm is affordable."""
    steps = [f"M{corners[0][0]} {corners[0][1]}"]
    for x, y in corners[1:]:
        steps.append(f"H{x}V{y}")
    return "".join(steps)


def _labelled(marks: Sequence[Mark]) -> list[Mark]:
    """Label the chosen arm always, and arms of the frontier as far as there is room."""
    dots = [(mark.x - 5, mark.y - 5, mark.x + 5, mark.y + 5) for mark in marks]
    taken: list[_Box] = []
    labelled = list(marks)
    for i in sorted(range(len(marks)), key=lambda i: not marks[i].point.chosen):
        mark = marks[i]
        if not (mark.point.chosen or mark.on_frontier):
            continue
        placed = _place_label(mark, [*taken, *dots])
        if placed is None and mark.point.chosen:
            placed = _place_label(mark, taken)
        if placed is None:
            continue
        (x, y, anchor), box = placed
        taken.append(box)
        labelled[i] = Mark(
            **vars(mark) | {"label": mark.point.shown, "label_x": x, "label_y": y, "anchor": anchor}
        )
    return labelled


_Box = tuple[float, float, float, float]


def _place_label(mark: Mark, taken: Sequence[_Box]) -> tuple[tuple[float, float, str], _Box] | None:
    """The first free place around a mark: (x, baseline y, anchor) and its box."""
    width = len(mark.point.shown) * _CHARACTER
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


def _overlap(box: _Box, other: _Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
