"""Prepared statements over one connection to PostgreSQL, written together and answered in their order.

psycopg connects, with the settings it is given. Then this module calls libpq through `psycopg.pq`: it watches
the socket once instead of for each reply, and makes neither cursors nor values of Python's types. That halves
the processor time of opening and settling one request (docs/speed.md).
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
from psycopg import errors, pq

Rows = list[tuple[bytes | None, ...]]  # in PostgreSQL's text form

_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class PostgresPipeline:
    """Statements between two calls of `sync` are one round trip. Belongs to one event loop.

    After any error, and after a cancelled `sync`, the connection may be inside a transaction: close it.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection, self._pq = connection, connection.pgconn
        self._socket, self._loop = connection.pgconn.socket, asyncio.get_running_loop()
        self._prepared: dict[str, bytes] = {}
        self._expected: deque[bool] = deque()  # of each result that comes: its rows are wanted
        self._rows: list[Rows] = []
        self._error: Exception | None = None  # of the first statement that failed since the last `sync`
        self._lost: Exception | None = None  # why the connection ended
        self._synced: asyncio.Future[list[Rows]] | None = None
        self._is_writing = False
        self._pq.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def connect(cls, options: Mapping[str, Any], set_up: str) -> "PostgresPipeline":
        """Connect and execute `set_up`. `options`: of `psycopg.AsyncConnection.connect`."""
        connection = await psycopg.AsyncConnection.connect(**options, autocommit=True)
        try:
            await connection.execute(set_up)
            return cls(connection)
        except BaseException:
            await connection.close()
            raise

    def send(self, statement: str, values: Sequence[str] = ()) -> None:
        """Add a statement with a `%s` for each value, which the statement casts to its type."""
        name = self._prepared.get(statement)
        if name is None:
            name = self._prepared[statement] = b"p%d" % len(self._prepared)
            self._pq.send_prepare(name, _numbered(statement))
            self._expected.append(False)
        self._pq.send_query_prepared(name, [value.encode() for value in values])
        self._expected.append(True)

    async def sync(self) -> list[Rows]:
        """Return the rows of each statement since the last call. Raises the error of the first that failed.

        Statements after one that failed were not executed.
        """
        if self._lost is not None:
            raise self._lost
        self._synced = self._loop.create_future()
        self._pq.pipeline_sync()
        self._flush()
        return await self._synced

    async def close(self) -> None:
        self._stop()
        with suppress(psycopg.Error):
            await self._connection.close()

    def _flush(self) -> None:
        try:
            is_left = bool(self._pq.flush())
        except psycopg.Error as error:
            self._fail(error)
            return
        if is_left and not self._is_writing:
            self._loop.add_writer(self._socket, self._flush)
        elif not is_left and self._is_writing:
            self._loop.remove_writer(self._socket)
        self._is_writing = is_left

    def _read(self) -> None:
        """Take the results that have arrived. The event loop calls it when there are bytes to read."""
        try:
            self._pq.consume_input()
            while self._synced is not None and not self._pq.is_busy():
                result = self._pq.get_result()
                if result is not None:  # None: between the results of two statements
                    self._take(result)
        except psycopg.Error as error:
            self._fail(error)

    def _take(self, result: pq.abc.PGresult) -> None:
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            rows, self._rows = self._rows, []
            synced, self._synced = self._synced, None
            error, self._error = self._error, None
            if synced is None or synced.done():
                return
            if error is None:
                synced.set_result(rows)
            else:
                synced.set_exception(error)
            return
        is_wanted = self._expected.popleft()
        if result.status not in _DONE:
            self._error = self._error or errors.error_from_result(result)
        elif is_wanted:
            self._rows.append(
                [
                    tuple(result.get_value(row, column) for column in range(result.nfields))
                    for row in range(result.ntuples)
                ]
            )

    def _fail(self, error: Exception) -> None:
        """Fail the waiting `sync` with the server's reason, or with `error` where it gave none."""
        self._stop()
        self._lost = self._error or error
        synced, self._synced = self._synced, None
        if synced is not None and not synced.done():
            synced.set_exception(self._lost)

    def _stop(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._is_writing:
            self._loop.remove_writer(self._socket)
            self._is_writing = False


@cache
def _numbered(statement: str) -> bytes:
    """With `$1`, `$2`, … instead of `%s`."""
    first, *others = statement.split("%s")
    return "".join([first, *(f"${n}{text}" for n, text in enumerate(others, 1))]).encode()
