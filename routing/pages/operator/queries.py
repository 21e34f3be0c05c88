"""Figures of the Operator page: providers, circuit breakers, open and unpriced requests, slow statements.

Every query is bounded: by the last day or hour through an index, or by tables of few rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Max, Min, Q

from billing.models import Attempt, Request, WebProcess
from routing.catalog.models import Model
from routing.catalog.upstreams import extra_providers
from routing.execute.breaker import Circuit
from routing.pages.provider_health import ProviderHealth, circuits, current_snapshot, provider_health

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SLOWEST = 10


@dataclass(frozen=True)
class Provider:
    """One configured provider; counts are of the last hour, moments of the last day."""

    name: str
    address: str
    status: str  # healthy, degraded, down or not used yet, as Home has it
    attempts: int
    failed: int
    last_ok: datetime | None
    last_failed: datetime | None
    circuits: Sequence[Circuit]  # open or half-open: its own and its models'


@dataclass(frozen=True)
class Traffic:
    """Open requests, and requests of the last day that need attention."""

    open: int
    oldest: datetime | None
    overdue: int  # open past their lease
    unpriced: int
    other_model: int


@dataclass(frozen=True)
class Statement:
    """A kind of SQL statement as pg_stat_statements counts it; ms."""

    text: str
    calls: int
    mean_ms: float
    total_ms: float


def providers(now: datetime) -> list[Provider]:
    models: dict[str, list[str]] = {}
    for pk, provider in Model.objects.values_list("id", "provider"):
        models.setdefault(provider, []).append(pk)
    tripped = circuits()
    health = provider_health(current_snapshot(tripped))
    return [
        _provider(
            configured, models.get(configured["name"], []), health.get(configured["name"]), tripped, now
        )
        for configured in [*settings.PROVIDERS, *extra_providers()]
    ]


def _provider(
    configured: Mapping[str, str],
    models: Sequence[str],
    health: ProviderHealth | None,
    tripped: Iterable[Circuit],
    now: datetime,
) -> Provider:
    name = configured["name"]
    lately = Attempt.objects.filter(model__in=models, provider=name, started_at__gte=now - _DAY)
    failed = Q(outcome=Attempt.Outcome.FAILED)
    hour = Q(started_at__gte=now - _HOUR)
    counts = lately.aggregate(
        attempts=Count("pk", filter=hour),
        failed=Count("pk", filter=hour & failed),
        last_ok=Max("started_at", filter=Q(outcome=Attempt.Outcome.OK)),
        last_failed=Max("started_at", filter=failed),
    )
    own = {("provider", name), *(("model", model) for model in models)}
    own_circuits = sorted(
        (circuit for circuit in tripped if (circuit.scope, circuit.name) in own),
        key=lambda circuit: (circuit.scope, circuit.name),
    )
    status = health.status if health else "down"
    return Provider(name=name, address=configured["base_url"], status=status, circuits=own_circuits, **counts)


def traffic(now: datetime) -> Traffic:
    open_rows = Request.objects.filter(status=Request.Status.OPEN).aggregate(
        open=Count("pk"), oldest=Min("created_at"), overdue=Count("pk", filter=Q(lease_until__lt=now))
    )
    lately = Request.objects.filter(created_at__gte=now - _DAY)
    return Traffic(
        **open_rows,
        unpriced=Request.objects.filter(unpriced=True).count(),
        other_model=lately.filter(other_model_served=True).count(),
    )


def unpriced_by_model(now: datetime) -> list[tuple[str, int]]:
    """Requests that wait for a price, by the model that has none."""
    waiting = Attempt.objects.filter(request__unpriced=True, charged=True, cost_usd=None)
    counted = waiting.values("model").annotate(requests=Count("request_id", distinct=True))
    return [(row["model"], row["requests"]) for row in counted.order_by("-requests")]


def web_processes() -> list[WebProcess]:
    return list(WebProcess.objects.order_by("started_at"))


def slow_statements() -> list[Statement] | None:
    """The database's slowest kinds of statement; None where the database does not record them."""
    if connection.vendor != "postgresql":
        return None
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT s.query, s.calls, s.mean_exec_time, s.total_exec_time FROM pg_stat_statements s"
                " JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"
                " ORDER BY s.mean_exec_time DESC LIMIT %s",
                [_SLOWEST],
            )
            return [Statement(*row) for row in cursor.fetchall()]
    except DatabaseError:  # the extension is not loaded, or this user may not read it
        return None
