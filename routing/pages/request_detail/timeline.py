"""The waterfall of a request in SVG coordinates; `request_detail/_timeline.html` draws it.

Every part of the time has a row with a name: routing, each attempt, each pause between attempts, settlement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.models import Attempt, Request

WIDTH, ROW, BAR, TOP, BOTTOM = 520.0, 34.0, 12.0, 4.0, 24.0
_MIN_BAR = 2.0
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Part:
    """A part of a request's time, in ms. `kind`: routing, pause, settlement or an outcome."""

    title: str
    kind: str
    start_ms: int
    ms: int
    attempt: Attempt | None = None


@dataclass(frozen=True)
class Bar:
    """A part in place, and where its first token came."""

    part: Part
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
    shown = list(parts(request, attempts))
    total = max(max(part.start_ms + part.ms for part in shown), 1)
    bars = [_bar(part, index, total) for index, part in enumerate(shown)]
    axis_y = TOP + ROW * len(bars)
    return Timeline(bars=bars, ticks=_ticks(total), total_ms=total, height=axis_y + BOTTOM, axis_y=axis_y)


def parts(request: Request, attempts: Sequence[Attempt]) -> Iterator[Part]:
    """All parts in order; together they leave no gap, up to the last byte."""
    end = 0
    for attempt in attempts:
        start = max(_ms_after(request.created_at, attempt.started_at), 0)
        if attempt.number == 1:
            yield Part("Routing: limits, decision, ledger row", "routing", 0, start)
        elif start > end:
            yield Part("Pause before the next attempt", "pause", end, start - end)
        title = f"Attempt {attempt.number}"
        yield Part(title, attempt.outcome, start, attempt.latency_ms, attempt)
        end = max(end, start + attempt.latency_ms)
    if request.latency_ms is not None and request.latency_ms > end:
        yield Part("Settlement: cost and ledger row", "settlement", end, request.latency_ms - end)


def _bar(part: Part, index: int, total: int) -> Bar:
    x = part.start_ms / total * WIDTH
    width = max(min(max(part.ms / total * WIDTH, _MIN_BAR), WIDTH - x), _MIN_BAR)
    y = TOP + ROW * index + (ROW - BAR)
    ttft_ms = part.attempt.ttft_ms if part.attempt else None
    leftward = x > WIDTH / 2  # a label that starts late would run out of the picture
    return Bar(
        part=part,
        x=round(min(x, WIDTH - _MIN_BAR), 1),
        y=y,
        width=round(width, 1),
        ttft_x=None if ttft_ms is None else round(min(x + ttft_ms / total * WIDTH, WIDTH), 1),
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
