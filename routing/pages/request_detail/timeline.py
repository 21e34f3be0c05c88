"""The timeline of a request's attempts in SVG coordinates; `request_detail/_timeline.html` draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.models import Attempt, Request

WIDTH, ROW, BAR, TOP, BOTTOM = 520.0, 38.0, 14.0, 4.0, 24.0
_MIN_BAR = 2.0
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Bar:
    """One attempt: its bar, and where its first token came."""

    attempt: Attempt
    x: float
    y: float
    width: float
    ttft_x: float | None
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True)
class TimeTick:
    x: float
    ms: int


@dataclass(frozen=True)
class Timeline:
    """`total_ms` runs from when we accepted the request to its last byte."""

    bars: Sequence[Bar]
    ticks: Sequence[TimeTick]
    total_ms: int
    height: float
    axis_y: float
    width: float = WIDTH
    bar: float = BAR


def timeline(request: Request, attempts: Sequence[Attempt]) -> Timeline | None:
    """The picture, or None before the first attempt has ended."""
    if not attempts:
        return None
    ends = [_ms_after(request.created_at, row.started_at) + row.latency_ms for row in attempts]
    total = max([*ends, request.latency_ms or 0, 1])
    bars = [_bar(row, index, request.created_at, total) for index, row in enumerate(attempts)]
    axis_y = TOP + ROW * len(bars)
    return Timeline(bars=bars, ticks=_ticks(total), total_ms=total, height=axis_y + BOTTOM, axis_y=axis_y)


def _bar(row: Attempt, index: int, origin: datetime, total: int) -> Bar:
    start = max(_ms_after(origin, row.started_at), 0)
    x = start / total * WIDTH
    width = min(max(row.latency_ms / total * WIDTH, _MIN_BAR), WIDTH - x)
    y = TOP + ROW * index + (ROW - BAR)
    ttft_x = None if row.ttft_ms is None else round(min(x + row.ttft_ms / total * WIDTH, WIDTH), 1)
    leftward = x > WIDTH / 2  # a label that starts late would run out of the picture
    return Bar(
        attempt=row,
        x=round(x, 1),
        y=y,
        width=round(max(width, _MIN_BAR), 1),
        ttft_x=ttft_x,
        label_x=round(x + width if leftward else x, 1),
        label_y=y - 5,
        anchor="end" if leftward else "start",
    )


def _ticks(total: int) -> list[TimeTick]:
    """Four to nine round times from 0."""
    step = next(
        step * 10**exponent for exponent in range(12) for step in _STEPS if total / (step * 10**exponent) <= 8
    )
    return [TimeTick(round(ms / total * WIDTH, 1), ms) for ms in range(0, total + 1, step)]


def _ms_after(origin: datetime, moment: datetime) -> int:
    return round((moment - origin).total_seconds() * 1000)
