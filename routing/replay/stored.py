"""Reads stored decisions back: to make them again, and to say what others would have come to."""

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

_CHUNK = 500  # rows at a time: a trace is some 20 kB when it is opened


class Mismatch(msgspec.Struct, frozen=True):
    """A request whose record does not give its decision again, and in what."""

    request: str
    differences: list[str]


def latest(account_id: int | None, since: datetime | None) -> QuerySet[Request]:
    """Newest first."""
    rows = Request.objects.order_by("-created_at", "-id")
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    return rows if since is None else rows.filter(created_at__gte=since)


def replayed(rows: QuerySet[Request], most: int) -> Iterator[Mismatch | None]:
    """For each of the first `most` rows None, or what differs."""
    for pk, stored in rows.values_list("id", "trace")[:most].iterator(chunk_size=_CHUNK):
        found = _differences(stored)
        yield Mismatch(pk, found) if found else None


def logged(rows: QuerySet[Request], most: int) -> list[Logged]:
    """The first `most` that were answered and priced, with the outcome where one is known."""
    answered = rows.filter(
        status=Request.Status.SUCCEEDED, cost_usd__isnull=False, latency_ms__isnull=False
    ).annotate(score=Avg("outcomes__score"))
    columns = ("trace", "cost_usd", "latency_ms", "score")
    return list(_read(answered.values_list(*columns)[:most].iterator(chunk_size=_CHUNK)))


def _read(lines: Iterable[tuple[Any, ...]]) -> Iterator[Logged]:
    for stored, cost_usd, latency_ms, score in lines:
        with suppress(msgspec.ValidationError):  # an older version's, which knew less
            yield Logged(msgspec.convert(stored, Trace), float(cost_usd), float(latency_ms), score)


def _differences(stored: object) -> list[str]:
    try:
        return replay.differences(msgspec.convert(stored, Trace))
    except msgspec.ValidationError as error:
        return [f"the record cannot be read: {error}"]
