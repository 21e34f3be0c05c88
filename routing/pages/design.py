"""/design/, in debug mode: every component of the design system (docs/design.md) on one page."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from routing.pages.chart import Chart, Column, sparkline

_DAYS = 14
_AMOUNTS = ("1234.5", "12.3456789", "0.0123456", "0.000000007", "0", "-0.25")  # USD
_START = datetime(2026, 11, 1, tzinfo=UTC)


@require_safe
def design(request: HttpRequest) -> HttpResponse:
    requests = [120, 180, 90, 60, 210, 240, 260, 255, 130, 80, 270, 300, 310, 340]
    context = {
        "amounts": [Decimal(usd) for usd in _AMOUNTS],
        "shares": [0, 0.0004, 0.934, 0.9996, 1],
        "durations": [240, 1_240, 75_000, 7_500_000],
        "counts": [999, 12_345, 128_000, 1_050_000],
        "tones": ["", "accent", "good", "warn", "bad", "info"],
        "statuses": ["succeeded", "failed", "partial", "open", "healthy", "degraded", "down"],
        "spark": sparkline(requests),
        "charts": [_traffic(requests), _lines(requests), _stacked(requests)],
        "now": _START,
    }
    return render(request, "pages/design.html", context)


def _traffic(requests: list[int]) -> Chart:
    return _chart(
        "bars",
        [
            Column("Requests", "count", requests, "bars", "1"),
            Column("Failed", "count", [number // 20 for number in requests], "bars", "bad"),
        ],
    )


def _lines(requests: list[int]) -> Chart:
    """A band, lines, a gap and a lone value."""
    known = [None if at in (3, 4, 6) else number * 10 for at, number in enumerate(requests)]

    def times(factor: float) -> list[float | None]:
        return [value and value * factor for value in known]

    return _chart(
        "lines",
        [
            Column("Low", "ms", times(0.7), "low", "3"),
            Column("High", "ms", times(1.4), "high", "3", key="90% range"),
            Column("p50", "ms", known, "line", "2"),
            Column("p95", "ms", times(1.8), "dashes", "4"),
        ],
    )


def _stacked(requests: list[int]) -> Chart:
    layers = {str(tone): [Decimal(number) / (tone * 300) for number in requests] for tone in range(1, 5)}
    columns = [Column(f"Group {tone}", "usd", values, "stack", tone) for tone, values in layers.items()]
    return _chart("stacked", columns)


def _chart(slug: str, columns: list[Column]) -> Chart:
    days = [_START + timedelta(days=number) for number in range(_DAYS)]
    labels = [f"{day:%-d %b}" for day in days]
    return Chart(slug, f"A chart: {slug}", "UTC", days, labels, columns)
