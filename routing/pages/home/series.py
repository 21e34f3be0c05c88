"""Home's figures over time: what each part of the period had, as charts and sparklines."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from billing.models import Request
from billing.reports.summary import Summary, percentiles
from routing.pages.chart import Chart, Column, Spark, sparkbars, sparkline
from routing.pages.home.queries import Period, counted, totals

_HOURS = {"today": 1, "7d": 6, "30d": 24, "90d": 24}  # hours of a part, by period
_PER = {name: {1: "per hour", 6: "per 6 hours", 24: "per day"}[hours] for name, hours in _HOURS.items()}
_HEIGHT = 180  # px
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
    """Requests and those that failed, by part; failures have no bars when there are none."""
    failed = [counted(part, *_FAILED) for part in parts]
    return _chart(
        name,
        starts,
        "Requests",
        [
            Column(
                "Requests",
                "count",
                [counted(part) for part in parts],
                "bars",
                "1",
                f"Requests {_PER[name]}",
            ),
            Column("Failed", "count", failed, "bars" if any(failed) else "", "bad"),
        ],
    )


def spend(name: str, starts: Sequence[datetime], parts: Sequence[Summary]) -> Chart:
    usd = [part.spend_usd for part in parts]
    return _chart(name, starts, "Spend", [Column("Spend", "usd", usd, "bars", "3", f"Spend {_PER[name]}")])


def latency(name: str, starts: Sequence[datetime], parts: Sequence[Summary]) -> Chart:
    """The median and the 95th percentile of latency, by part; a part without a success is a gap."""
    both = [percentiles(part.latencies, (0.5, 0.95)) for part in parts]
    return _chart(
        name,
        starts,
        "Latency",
        [
            Column("p50", "ms", [p50 for p50, _ in both], "line", "2"),
            Column("p95", "ms", [p95 for _, p95 in both], "dashes", "4"),
        ],
    )


def _chart(name: str, starts: Sequence[datetime], title: str, columns: list[Column]) -> Chart:
    return Chart(
        slug=title.lower(),
        title=title,
        zone=str(starts[0].tzinfo),
        moments=starts,
        labels=_labels(name, starts),
        columns=columns,
        height=_HEIGHT,
    )


def sparks(parts: Sequence[Summary]) -> dict[str, Spark]:
    """By tile: how its figure went over the period's parts."""
    figures = [totals(part) for part in parts]
    return {
        "requests": sparkbars([part.requests for part in figures]),
        "spend": sparkbars([part.spend_usd for part in figures]),
        "saved": sparkbars([part.saved_usd or 0 for part in figures]),
        "success": sparkline([part.success_rate for part in figures]),
        "p50": sparkline([part.p50_ms for part in figures]),
        "p95": sparkline([part.p95_ms for part in figures]),
    }


def _labels(name: str, starts: Sequence[datetime]) -> list[str]:
    words = {1: "%H:%M", 6: "%a %-d %b, %H:%M", 24: "%a %-d %b"}[_HOURS[name]]
    return [f"{start:{words}}" for start in starts]
