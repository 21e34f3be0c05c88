"""One account's learning: its mode, the shifts that count for it, and their cache in a process."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cachetools import LRUCache
from django.db import transaction

from core.database import from_database
from routing.learning.models import Feedback, Learning, Outcome
from routing.learning.outcomes import signs
from routing.learning.posteriors import BOUND, GATES, Posterior, posteriors, shifts

logger = logging.getLogger(__name__)

FRESH_S = 30.0
_MOST_ACCOUNTS = 10_000


def mode_of(account_id: int) -> Learning.Mode:
    row = Learning.objects.filter(account_id=account_id).first()
    return Learning.Mode(row.mode) if row else Learning.Mode.ON


def account_posteriors(account_id: int, now: datetime) -> list[Posterior]:
    """Return the posteriors of all the account's outcomes, in every learning mode."""
    return posteriors(signs(account_id, now), now)


def active_shifts(account_id: int, now: datetime) -> Mapping[str, float]:
    """Return the shifts of P(success) by "arm|skill" that count under the account's learning mode."""
    row = Learning.objects.filter(account_id=account_id).first()
    if row is None or row.mode == Learning.Mode.ON:
        return shifts(account_posteriors(account_id, now))
    return dict(row.frozen) if row.mode == Learning.Mode.FROZEN else {}


def explain(mode: Learning.Mode, learnt: Sequence[Posterior]) -> str:
    """Return, in a sentence, what the account's outcomes change."""
    if mode == Learning.Mode.OFF:
        return "Learning is off: outcomes are stored but change nothing."
    if mode == Learning.Mode.FROZEN:
        return "Learning is frozen: outcomes from before still count, newer ones change nothing."
    if not learnt:
        return "No outcomes yet. Feedback on answers, by API or on their pages, has the most effect."
    if not any(posterior.influence for posterior in learnt):
        fewest, most = GATES[-1][0], max(posterior.outcomes for posterior in learnt)
        return (
            f"Nothing changes until a model has {fewest} outcomes. The most so far are {most}, "
            "for one model and effort at one skill."
        )
    return f"Outcomes change a chance of a good answer by at most {BOUND * 100:.0f} percentage points."


@transaction.atomic
def set_mode(account_id: int, mode: Learning.Mode, now: datetime) -> None:
    """Change the learning mode. Freezing stores the shifts that count at this moment."""
    frozen = active_shifts(account_id, now) if mode == Learning.Mode.FROZEN else {}
    Learning.objects.update_or_create(account_id=account_id, defaults={"mode": mode, "frozen": dict(frozen)})


@transaction.atomic
def forget(account_id: int) -> int:
    """Delete the account's feedback and outcomes; return the number of feedback rows."""
    Outcome.objects.filter(account_id=account_id).delete()
    Learning.objects.filter(account_id=account_id).update(frozen={})
    return Feedback.objects.filter(account_id=account_id).delete()[0]


class Learned:
    """A cache of accounts' shifts, refreshed in the background.

    A request waits for the database only on the account's first use in this process. When the database fails,
    the last known shifts stay in use, or none.
    """

    def __init__(self) -> None:
        self._cache: LRUCache[int, tuple[float, Mapping[str, float]]] = LRUCache(_MOST_ACCOUNTS)
        self._reads: dict[int, asyncio.Task[Mapping[str, float]]] = {}

    async def of(self, account_id: int) -> Mapping[str, float]:
        known = self._cache.get(account_id)
        if known is None:
            # Other requests may wait for the same read, so it goes on when this one is cancelled.
            return await asyncio.shield(self._start_read(account_id))
        if time.monotonic() - known[0] > FRESH_S:
            self._start_read(account_id)
        return known[1]

    async def stop(self) -> None:
        await asyncio.gather(*self._reads.values(), return_exceptions=True)

    def _start_read(self, account_id: int) -> asyncio.Task[Mapping[str, float]]:
        task = self._reads.get(account_id)
        if task is None:
            task = self._reads[account_id] = asyncio.create_task(self._read(account_id))
            task.add_done_callback(lambda _: self._reads.pop(account_id, None))
        return task

    async def _read(self, account_id: int) -> Mapping[str, float]:
        try:
            shifts_now = await from_database(active_shifts, account_id, datetime.now(UTC))
        except Exception:
            logger.exception("Learning of account %s cannot be read; its last known shifts stay", account_id)
            shifts_now = self._cache[account_id][1] if account_id in self._cache else {}
        self._cache[account_id] = (time.monotonic(), shifts_now)
        return shifts_now
