"""Reads stored decisions from the ledger, for replay and for what-if estimates."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Avg, QuerySet

from billing.models import Request
from routing.decide.trace import Trace
from routing.replay import replay
from routing.replay.what_if import Logged

_CHUNK = 500  # rows at a time: a decoded trace takes about 20 kB


class Mismatch(msgspec.Struct, frozen=True):
    """A request whose trace does not reproduce its decision, and how they differ."""

    request: str
    differences: list[str]


def latest(account_id: int | None, since: datetime | None) -> QuerySet[Request]:
    """Return the requests since a time, of one account or all, newest first."""
    rows = Request.objects.order_by("-created_at", "-id")
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    return rows if since is None else rows.filter(created_at__gte=since)


def replayed(rows: QuerySet[Request], limit: int) -> Iterator[Mismatch | None]:
    """Replay the first `limit` rows; yield for each None, or how it differs."""
    for pk, stored in rows.values_list("id", "trace")[:limit].iterator(chunk_size=_CHUNK):
        differing = _differences(stored)
        yield Mismatch(pk, differing) if differing else None


def logged(rows: QuerySet[Request], limit: int) -> list[Logged]:
    """Return the first `limit` answered and priced requests, with their mean outcome where one is known."""
    answered = rows.filter(
        status=Request.Status.SUCCEEDED, cost_usd__isnull=False, latency_ms__isnull=False
    ).annotate(score=Avg("outcomes__score"))
    columns = ("trace", "cost_usd", "latency_ms", "score")
    return list(_read(answered.values_list(*columns)[:limit].iterator(chunk_size=_CHUNK)))


def _read(lines: Iterable[tuple[Any, ...]]) -> Iterator[Logged]:
    for stored, cost_usd, latency_ms, score in lines:
        with suppress(msgspec.ValidationError):  # a trace of an older version, which lacks fields
            yield Logged(Trace.of(stored), float(cost_usd), float(latency_ms), score)


def _differences(stored: object) -> list[str]:
    try:
        return replay.differences(Trace.of(stored))
    except msgspec.ValidationError as error:
        return [f"the record cannot be read: {error}"]
