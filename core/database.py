"""How async code asks the database: in a thread, on a connection that lives, waiting a moment if it is away.

Chat requests must not stop for a database query, and a database that restarts must not fail what a second's
patience would serve (spec/reliability.md row 22).
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

AWAY = (OperationalError, InterfaceError)  # the database, not the query: gone, restarting, full, locked
_BATCH = 500  # rows deleted in one transaction
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


def database_unavailable() -> ServiceUnavailable:
    return ServiceUnavailable(
        "RoutePlex cannot reach its database now, so it does nothing. Try again in a few seconds.",
        headers={"Retry-After": "5"},
    )


def database_now() -> datetime:
    """The time by the database's clock, which all processes share; SQLite has none but ours."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete rows without a transaction that holds up others; returns how many, without what went with them.

    Oldest first, which is also how a table without an index on its time is read no further than needed.
    """
    deleted = 0
    while pks := list(rows.order_by("pk").values_list("pk", flat=True)[:_BATCH]):
        rows.model._default_manager.filter(pk__in=pks).delete()
        deleted += len(pks)
    return deleted


async def from_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread, again while the database is away; it must bear being run twice.

    Raises ServiceUnavailable after settings.DATABASE_PATIENCE_S.
    """
    return await from_database_on(None, work, *args, **kwargs)


async def from_database_on(
    executor: ThreadPoolExecutor | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """As `from_database`, in a thread of this executor."""

    def here() -> T:
        close_old_connections()  # the one this thread kept may be broken since
        try:
            return work(*args, **kwargs)
        except AWAY:
            connections.close_all()
            raise

    until, pause_s = time.monotonic() + settings.DATABASE_PATIENCE_S, _FIRST_PAUSE_S
    in_thread = sync_to_async(here, thread_sensitive=False, executor=executor)
    while True:
        try:
            # Shielded: a thread cannot be called back; one whose line is dead ends with the line.
            asking = asyncio.ensure_future(in_thread())
            result: T = await asyncio.wait_for(asyncio.shield(asking), max(0.001, until - time.monotonic()))
            return result
        except TimeoutError as error:
            asking.add_done_callback(_unread)
            raise database_unavailable() from error
        except AWAY as error:
            if time.monotonic() + pause_s > until:
                raise database_unavailable() from error
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _unread(asking: "asyncio.Future[Any]") -> None:
    """Nobody waits any more; asking for the error keeps asyncio from telling it."""
    if not asking.cancelled():
        asking.exception()
