"""Home's figures over time: what each part of the period had, as charts and sparklines."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from billing.models import Request
from billing.reports.summary import Summary, percentiles
from routing.pages.chart import Chart, Column, sparkline
from routing.pages.home.queries import Period, counted, totals

_HOURS = {"today": 1, "7d": 6, "30d": 24}  # hours of a part, by period
_FAILED = (Request.Status.FAILED, Request.Status.EXPIRED)


def edges(name: str, period: Period) -> list[datetime]:
    """Where the parts of a period begin, and its end; a part never reaches over midnight."""
    hours = _HOURS[name]
    parts = [period.start]
    while (following := _after(parts[-1], hours)) < period.end:
        parts.append(following)
    return [*parts, period.end]


def _after(moment: datetime, hours: int) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    tomorrow = (midnight + timedelta(hours=36)).replace(hour=0)
    following = moment.replace(minute=0, second=0, microsecond=0)
    # By the clock on the wall, so that parts begin at the same hours on every day.
    hour = (following.hour // hours + 1) * hours
    return tomorrow if hour >= 24 else following.replace(hour=hour, fold=0)


def traffic(name: str, starts: Sequence[datetime], parts: Sequence[Summary]) -> Chart:
    """Requests and spend with failures, by part."""
    return Chart(
        slug="traffic",
        title="Requests and spend",
        zone=str(starts[0].tzinfo),
        moments=starts,
        labels=_labels(name, starts),
        columns=[
            Column("Requests", "count", [counted(part) for part in parts], "area", "1"),
            Column("Failed", "count", [counted(part, *_FAILED) for part in parts], "bars", "bad"),
            Column("Spend", "usd", [part.spend_usd for part in parts], "line", "3"),
        ],
    )


def latency(name: str, starts: Sequence[datetime], parts: Sequence[Summary]) -> Chart:
    """The band between the median and the 95th percentile of latency, by part."""
    both = [percentiles(part.latencies, (0.5, 0.95)) for part in parts]
    return Chart(
        slug="latency",
        title="Latency, median to 95th percentile",
        zone=str(starts[0].tzinfo),
        moments=starts,
        labels=_labels(name, starts),
        columns=[
            Column("p50", "ms", [p50 for p50, _ in both], "low", "2"),
            Column("p95", "ms", [p95 for _, p95 in both], "high", "2"),
        ],
        height=180,
    )


def sparks(parts: Sequence[Summary]) -> dict[str, tuple[str, str]]:
    """By tile: how its figure went over the period's parts."""
    figures = [totals(part) for part in parts]
    return {
        "requests": sparkline([part.requests for part in figures]),
        "spend": sparkline([part.spend_usd for part in figures]),
        "saved": sparkline([part.saved_usd for part in figures]),
        "success": sparkline([part.success_rate for part in figures]),
        "p50": sparkline([part.p50_ms for part in figures]),
        "p95": sparkline([part.p95_ms for part in figures]),
    }


def _labels(name: str, starts: Sequence[datetime]) -> list[str]:
    words = {"today": "%H:%M", "7d": "%a %-d %b, %H:%M", "30d": "%a %-d %b"}[name]
    return [f"{start:{words}}" for start in starts]
