"""The ledger: opens a request with its hold, settles it once with its attempts; only it writes these rows.

Every write goes through the group writer, so "opened" and "settled" mean committed. What the windows count
changes in the same transaction (docs/ledger.md).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from billing.ledger.entries import AttemptRow, OpenTerms, OpenWrite, RequestRow, Settlement, SettleWrite
from billing.ledger.holds import Hold
from billing.ledger.windows import Payer
from billing.ledger.writer import GroupWriter
from core.database import database_unavailable
from core.waiting import done_within

__all__ = ["AttemptRow", "Ledger", "OpenTerms", "RequestRow", "Settlement"]

_IN_COMMIT_S = 2.0  # longer than a commit takes while the database works


class Ledger:
    """Opens and settles through one process's group writer."""

    def __init__(self, writer: GroupWriter) -> None:
        self._writer = writer
        # By account. An entry is a few hundred bytes, and only accounts that ever waited have one.
        self._turns: dict[int, asyncio.Lock] = {}
        self._freed: dict[int, asyncio.Event] = {}

    async def open(self, row: RequestRow, terms: OpenTerms) -> Hold:
        """Commit the row, with its hold, before anything is sent upstream.

        Raises Exhausted or RateLimited, and then writes nothing, and ServiceUnavailable. After a cancellation
        or ServiceUnavailable the row may or may not have been written: call `abandon`.
        """
        write = self._writer.write(OpenWrite(row, terms))
        try:
            is_here = await done_within(write, self._writer.patience_s + _IN_COMMIT_S)
        except asyncio.CancelledError:
            write.add_done_callback(_unread)
            write.cancel()
            raise
        if not is_here:  # the database keeps the connection open but does not answer
            write.cancel()
            raise database_unavailable()
        hold: Hold = write.result()
        return hold

    def settle(
        self, row: RequestRow, payer: Payer, settlement: Settlement, attempts: Sequence[AttemptRow] = ()
    ) -> asyncio.Future[None]:
        """Commit how the request ended, with its attempts. A second settlement changes nothing.

        A row that was swept meanwhile gets this end instead: what was delivered is charged.
        """
        settled = self._writer.write(SettleWrite(row, payer, settlement, tuple(attempts)))
        settled.add_done_callback(lambda _: self._wake(payer.account_id))
        return settled

    @asynccontextmanager
    async def turn(self, account_id: int, wait_s: float) -> AsyncIterator[bool]:
        """The account's turn to wait for held money, in order of arrival; False: not within `wait_s`.

        Only the request whose turn it is retries, so many waiting requests cost no more queries than one.
        """
        turn = self._turns.setdefault(account_id, asyncio.Lock())
        try:
            async with asyncio.timeout(wait_s):
                await turn.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            turn.release()

    async def freed(self, account_id: int, wait_s: float) -> None:
        """Wait until this process settles a request of the account, which may free money, or for `wait_s`."""
        event = self._freed.setdefault(account_id, asyncio.Event())
        event.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await event.wait()

    def abandon(self, row: RequestRow, payer: Payer, settlement: Settlement) -> None:
        """Settle a row that may or may not have been opened, without waiting."""
        self.settle(row, payer, settlement).add_done_callback(_unread)

    def _wake(self, account_id: int) -> None:
        if (event := self._freed.get(account_id)) is not None:
            event.set()


def _unread(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # already logged by the writer; reading it keeps asyncio from logging it again
