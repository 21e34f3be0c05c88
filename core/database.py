"""How async code queries the database: in a thread, with retries while the database is away.

A query must not block the event loop, and a database that restarts must not fail requests that could have
waited a second (docs/reliability.md).
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection, connections
from django.db.models import QuerySet

from core.errors import ServiceUnavailable

P = ParamSpec("P")
T = TypeVar("T")

# The database's fault, not the query's: gone, restarting, full, locked.
AWAY = (OperationalError, InterfaceError)
_BATCH = 500  # rows deleted per transaction
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


def database_unavailable() -> ServiceUnavailable:
    return ServiceUnavailable(
        "RoutePlex cannot reach its database, so it did nothing. Try again in a few seconds.",
        headers={"Retry-After": "5"},
    )


def database_now() -> datetime:
    """The time by the database's clock, which all processes share; with SQLite, this machine's clock."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete rows in short transactions, oldest first; returns how many, without those deleted by cascade.

    The order by primary key lets a table without an index on its time be read only as far as needed.
    """
    deleted = 0
    while pks := list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        rows.model._default_manager.filter(pk__in=pks).delete()
        deleted += len(pks)
    return deleted


async def from_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread, and again while the database is away. It must be idempotent.

    A connection that breaks after the commit leaves unknown whether `work` took effect, so it is run again.
    Raises ServiceUnavailable after settings.DATABASE_PATIENCE_S.
    """
    return await from_database_on(None, work, *args, **kwargs)


async def from_database_on(
    executor: ThreadPoolExecutor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """As `from_database`, in a thread of this executor; None: asgiref's."""

    def run() -> T:
        close_old_connections()  # this thread's connection may have broken since its last use
        try:
            return work(*args, **kwargs)
        except AWAY:
            connections.close_all()
            raise

    until, pause_s = time.monotonic() + settings.DATABASE_PATIENCE_S, _FIRST_PAUSE_S
    in_thread = sync_to_async(run, thread_sensitive=False, executor=executor)
    while True:
        try:
            # Shielded, because a thread can't be cancelled. If its connection hangs, it ends when that times
            # out.
            query = asyncio.ensure_future(in_thread())
            async with asyncio.timeout(max(0.001, until - time.monotonic())):
                return await asyncio.shield(query)
        except TimeoutError as error:
            query.add_done_callback(_read_error)
            raise database_unavailable() from error
        except AWAY as error:
            if time.monotonic() + pause_s > until:
                raise database_unavailable() from error
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _read_error(query: "asyncio.Future[Any]") -> None:
    """Read the error of a query that nothing awaits any more, so that asyncio does not log it."""
    if not query.cancelled():
        query.exception()
