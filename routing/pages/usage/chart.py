"""The usage chart: cost by bucket in stacked bars, the largest groups separately."""

from collections.abc import Callable

from routing.pages.chart import Chart, Column
from routing.pages.usage.queries import Report

_LAYERS = 5  # further groups are one layer


def chart(report: Report, zone: str, name: Callable[[str], str]) -> Chart | None:
    """`name` turns a group's name into what is shown. None: nothing in the period cost anything."""
    if not report.total.cost_nano:
        return None
    largest, others = report.groups[:_LAYERS], report.groups[_LAYERS:]
    columns = [
        Column(name(group.name), "usd", [sums.cost_usd for sums in group.by_bucket], "stack", str(tone))
        for tone, group in enumerate(largest, 1)
    ]
    buckets = range(len(report.buckets))
    if others:
        rest = [sum(group.by_bucket[at].cost_usd for group in others) for at in buckets]
        columns.append(Column("Others", "usd", rest, "stack", "6"))
    whole = [sum(group.by_bucket[at].cost_usd for group in report.groups) for at in buckets]
    requests = [sum(group.by_bucket[at].requests for group in report.groups) for at in buckets]
    columns += [Column("Together", "usd", whole), Column("Requests", "count", requests)]
    return Chart(
        slug="usage",
        title=f"Cost by {report.per}",
        zone=zone,
        moments=[bucket.start for bucket in report.buckets],
        labels=[bucket.label for bucket in report.buckets],
        columns=columns,
    )
