"""Commits a group of openings and settlements: one statement on PostgreSQL, one transaction on SQLite.

On PostgreSQL the event loop sends the statement itself, over a connection of its own: a thread would compete
with it for the interpreter. What happens rarely goes through Django's connection in a thread: creating
windows, rates that the ledger has to count, settlements of rows that were swept, and openings whose first
commit may have been lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from cachetools import LRUCache
from django.db import (
    IntegrityError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    transaction,
)

from billing.ledger import embedded, rate_limits, windows
from billing.ledger.balances import LOCK, READ, Balances, Spans, Wanted, WindowMissing, balances_read
from billing.ledger.entries import OpenWrite, SettleWrite, Written
from billing.ledger.holds import Exhausted, Hold, span_of, take
from billing.ledger.statement import statement, written
from billing.ledger.windows import Payer, spans
from billing.ledger.writer import Commits, Write
from billing.models import Request
from billing.reports.rollup import mark_stale
from core.database import AWAY
from core.postgres_pipeline import PostgresPipeline

T = TypeVar("T")
_DEADLINE_S = 15.0  # of one commit: longer means that the connection is dead, or the database hangs
_PAYERS_KNOWN = 100_000
_ZONES_KNOWN = 1_000
# The statement looks up a few rows by their keys. Other plans win on small or unanalysed tables only.
_PLANNING = (
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;"
    " SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan"
)


def commits() -> Commits:
    """How this deployment's database is written."""
    return PostgresCommits() if connection.vendor == "postgresql" else ThreadCommits()


class ThreadCommits:
    """Commits in a thread of its own, with Django's connection."""

    def __init__(self) -> None:
        self._thread = _Thread()
        self._windows = KnownWindows()

    async def commit(self, writes: Sequence[Write], again: bool) -> list[Any]:
        return await self._thread.run(self._commit, writes, again)

    def _commit(self, writes: Sequence[Write], again: bool) -> list[Any]:
        try:
            with transaction.atomic():
                return apply(writes, again, self._windows)
        except Exception:
            self._windows.forget()  # those that were created are rolled back
            raise

    async def close(self) -> None:
        await self._thread.close()


class PostgresCommits:
    """Commits from the event loop."""

    def __init__(self) -> None:
        self._thread = _Thread()
        self._windows = KnownWindows()
        self._pipeline: PostgresPipeline | None = None
        # Kept, because each task that asks Django for its connection gets a new one.
        self._as_django = connections["default"].wrap_database_errors

    async def commit(self, writes: Sequence[Write], again: bool) -> list[Any]:
        group = _Group(writes, self._windows)
        if unknown := self._windows.unknown(group.opens):
            await self._thread.run(windows.ensure, unknown)
            self._windows.add(unknown)
        if group.capped and not again and not any(write.terms.rates for write in group.capped):
            try:
                await self._in_time(self._write_capped, group)
            except WindowMissing:
                self._windows.forget()
                raise
        elif group.free or group.settles:
            group.done = await self._in_time(self._write, group)
        if not group.is_complete(again):
            await self._thread.run(_rest, group, again)
        return group.results()

    async def close(self) -> None:
        await self._disconnect()
        await self._thread.close()

    async def _write(self, pipeline: PostgresPipeline, group: "_Group") -> Written:
        """Write what is subject to no limit: one statement, which is a transaction."""
        pipeline.send(*group.unlimited())
        (rows,) = await pipeline.sync()
        return written(rows)

    async def _write_capped(self, pipeline: PostgresPipeline, group: "_Group") -> None:
        """Write a group with openings under caps, in two round trips and one transaction.

        The first locks the windows, writes everything else, because settlements release holds, and reads the
        balances. The second opens what the balances allow, and commits.
        """
        pipeline.send("BEGIN")
        pipeline.send(LOCK, [group.wanted.locks()])
        if has_rest := bool(group.free or group.settles):
            pipeline.send(*group.unlimited())
        pipeline.send(READ, [group.wanted.parameter()])
        *others, read = await pipeline.sync()
        accepted = group.admit(group.wanted.balances(balances_read(read)))
        if accepted:
            pipeline.send(*statement(accepted, []))
        pipeline.send("COMMIT")
        opened = await pipeline.sync()
        group.done = written(others[-1] if has_rest else ())
        if accepted:
            group.done.opened |= written(opened[0]).opened
        group.is_capped_done = True

    async def _in_time(
        self, write: Callable[[PostgresPipeline, "_Group"], Awaitable[T]], group: "_Group"
    ) -> T:
        """Run it with the connection, within the deadline. After an error the connection is given up."""
        try:
            with self._as_django:
                async with asyncio.timeout(_DEADLINE_S):
                    if self._pipeline is None:
                        self._pipeline = await _connect()
                    return await write(self._pipeline, group)
        except TimeoutError:
            await self._disconnect()
            raise OperationalError("the database did not answer in time") from None
        except BaseException:  # also when cancelled: the connection may be inside a transaction
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            await pipeline.close()


async def _connect() -> PostgresPipeline:
    """A connection with Django's settings: address, password, TLS, timeouts."""
    options = connections["default"].get_connection_params()
    for of_django in ("cursor_factory", "context", "prepare_threshold"):
        options.pop(of_django, None)
    return await PostgresPipeline.connect(options, _PLANNING)


class _Thread:
    """Runs work that needs Django's connection, one piece after the other."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, _connected, work, *args)

    async def close(self) -> None:
        await self.run(connections.close_all)
        self._executor.shutdown()


def _connected(work: Callable[..., T], *args: Any) -> T:
    close_old_connections()
    try:
        return work(*args)
    except AWAY:
        connections.close_all()
        raise


class KnownWindows:
    """The payers whose windows exist, as far as this process knows, and the spans of their requests."""

    def __init__(self) -> None:
        self._spans: LRUCache[str, Spans] = LRUCache(_ZONES_KNOWN)
        self._existing: LRUCache[Payer, Spans] = LRUCache(_PAYERS_KNOWN)

    def spans(self, payer: Payer, moment: datetime) -> Spans:
        """The day and the month in which a request counts; computing them takes longer than a lookup."""
        known = self._spans.get(payer.time_zone)
        if known is None or not known[0].starts_at <= moment < known[0].ends_at:
            known = self._spans[payer.time_zone] = spans(moment, payer.time_zone)
        return known

    def unknown(self, opens: Iterable[OpenWrite]) -> list[tuple[Payer, datetime]]:
        moments = [(write.terms.payer, write.row.created_at) for write in opens]
        return [each for each in moments if self._existing.get(each[0]) != self.spans(*each)]

    def add(self, moments: Iterable[tuple[Payer, datetime]]) -> None:
        for payer, moment in moments:
            self._existing[payer] = self.spans(payer, moment)

    def forget(self) -> None:
        self._existing.clear()


class _Group:
    """The writes of one group by what they need, and what became of them."""

    def __init__(self, writes: Sequence[Write], known: KnownWindows) -> None:
        self.writes = writes
        self.opens = [write for write in writes if isinstance(write, OpenWrite)]
        self.settles = [write for write in writes if isinstance(write, SettleWrite)]
        self.capped = [write for write in self.opens if write.terms.caps or write.terms.rates]
        self.free = [write for write in self.opens if not (write.terms.caps or write.terms.rates)]
        self.is_capped_done = not self.capped
        self.done = Written()
        self.refused: dict[OpenWrite, Exception] = {}
        self._known = known
        self.wanted = Wanted()
        for write in self.free:
            request = write.terms.hold_request
            _hold(write, Hold(request.usd, request.tokens))
        if self.capped:
            for write in self.opens:
                self.wanted.count(write.terms.payer, write.row.created_at)
            for settle in self.settles:
                self.wanted.count(settle.payer, settle.row.created_at)
        for write in self.capped:
            for cap in write.terms.caps:
                self.wanted.add(
                    cap.scope,
                    cap.scope_id,
                    span_of(cap, known.spans(write.terms.payer, write.row.created_at)),
                )

    def unlimited(self) -> tuple[str, list[str]]:
        """The statement, with its parameters, of all writes but the openings under limits."""
        return statement(self.free, [(settle, Request.Status.OPEN) for settle in self.settles])

    def admit(
        self,
        balances: Balances,
        opens: Sequence[OpenWrite] | None = None,
        arrivals: "rate_limits.Arrivals | None" = None,
    ) -> list[OpenWrite]:
        """Give each opening under limits its hold, or refuse it; return those that were accepted.

        They see each other's holds. `arrivals`: counts where the ledger has to check rates.
        """
        accepted = []
        for write in self.capped if opens is None else opens:
            terms = write.terms
            try:
                if arrivals is not None:
                    arrivals.check(terms.rates, write.row.created_at)
                spans = self._known.spans(write.terms.payer, write.row.created_at)
                _hold(write, take(balances, terms.payer, spans, terms.caps, terms.hold_request))
            except (Exhausted, rate_limits.RateLimited) as refusal:
                self.refused[write] = refusal
                continue
            if arrivals is not None:
                arrivals.add(terms.payer)
            accepted.append(write)
        return accepted

    @property
    def unsettled(self) -> list[SettleWrite]:
        return [write for write in self.settles if write.settlement.request_id not in self.done.settled]

    def is_complete(self, again: bool) -> bool:
        written = self.free if not self.is_capped_done else [w for w in self.opens if w not in self.refused]
        return (
            self.is_capped_done
            and not self.unsettled
            and (again or all(write.row.id in self.done.opened for write in written))
        )

    def results(self) -> list[Any]:
        return [
            self.refused.get(write, write.hold) if isinstance(write, OpenWrite) else None
            for write in self.writes
        ]


def apply(writes: Sequence[Write], again: bool, known: KnownWindows | None = None) -> list[Any]:
    """Commit a group on Django's connection, inside the caller's transaction; the results as `Commits`."""
    known = known or KnownWindows()
    group = _Group(writes, known)
    if unknown := known.unknown(group.opens):
        windows.ensure(unknown)
        known.add(unknown)
    group.done = _write(group.free, [(settle, Request.Status.OPEN) for settle in group.settles])
    if not group.is_complete(again):
        _rest(group, again)
    return group.results()


def _rest(group: _Group, again: bool) -> None:
    """Write the rest: settlements of rows that were swept or opened in this group, and openings under limits.

    Settlements come first, for they release holds.
    """
    if not again:
        for write in group.opens if group.is_capped_done else group.free:
            if write not in group.refused and write.row.id not in group.done.opened:
                group.refused[write] = IntegrityError(f"there is a request {write.row.id} already")
    with transaction.atomic():
        if unsettled := group.unsettled:
            _settle_late(unsettled)
        if not group.is_capped_done:
            _open_capped(group, again)


def _settle_late(settles: Sequence[SettleWrite]) -> None:
    """Settle rows that were not open: the sweeper was faster, or they were opened by the same group.

    A row that the sweeper settled, because its process looked dead, has no cost and no hold any more; this
    settlement knows better. What is settled stays as it is: a retry after a lost commit changes nothing.
    """
    done = _write([], [(write, Request.Status.OPEN) for write in settles]).settled
    left = [write for write in settles if write.settlement.request_id not in done]
    late = _write([], [(write, Request.Status.EXPIRED) for write in left]).settled
    # Their hours may be rolled up already.
    mark_stale((w.row.account_id, w.row.created_at) for w in left if w.settlement.request_id in late)


def _open_capped(group: _Group, again: bool) -> None:
    """Open requests under limits, with their windows locked.

    `again`: openings that an earlier try committed return the hold they have.
    """
    stored = _already_open(group.capped) if again else {}
    for write in group.capped:
        if write.row.id in stored:
            _hold(write, stored[write.row.id])
    opens = [write for write in group.capped if write.row.id not in stored]
    arrivals = rate_limits.Arrivals() if any(write.terms.rates for write in opens) else None
    if accepted := group.admit(group.wanted.locked(), opens, arrivals):
        _write(accepted, [])


def _hold(write: OpenWrite, hold: Hold) -> None:
    write.hold = hold
    write.row.held_usd, write.row.held_tokens = hold.usd, hold.tokens


def _already_open(opens: Sequence[OpenWrite]) -> dict[str, Hold]:
    """The holds of retried openings that an earlier try committed, by request id."""
    rows = Request.objects.filter(pk__in=[write.row.id for write in opens])
    return {pk: Hold(usd, tokens) for pk, usd, tokens in rows.values_list("pk", "held_usd", "held_tokens")}


def _write(opens: Sequence[OpenWrite], settles: Sequence[tuple[SettleWrite, str]]) -> Written:
    """Write on Django's connection."""
    if not opens and not settles:
        return Written()
    if connection.vendor != "postgresql":
        return embedded.write(opens, settles)
    with connection.cursor() as cursor:
        cursor.execute(*statement(opens, settles))
        return Written(cursor.fetchall())
