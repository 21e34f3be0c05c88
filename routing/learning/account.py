"""What is learnt of one account, how it wants to be learnt from, and what a process keeps of it."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

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


def learnt(account_id: int, now: datetime) -> list[Posterior]:
    """All posteriors, whatever the mode."""
    return posteriors(signs(account_id, now), now)


def applied(account_id: int, now: datetime) -> Mapping[str, float]:
    """The shifts that count now, by "arm|skill"."""
    row = Learning.objects.filter(account_id=account_id).first()
    if row is None or row.mode == Learning.Mode.ON:
        return shifts(learnt(account_id, now))
    return dict(row.frozen) if row.mode == Learning.Mode.FROZEN else {}


def explained(mode: Learning.Mode, found: Sequence[Posterior]) -> str:
    """What the account's outcomes change, in a sentence."""
    if mode == Learning.Mode.OFF:
        return "Learning is off: outcomes are kept, and change nothing."
    if mode == Learning.Mode.FROZEN:
        return "Learning is frozen: what was learnt until then counts, newer outcomes change nothing."
    if not found:
        return "No outcome is known yet. Feedback on answers, by API or on their pages, teaches most."
    if not any(one.influence for one in found):
        least, most = GATES[-1][0], max(one.outcomes for one in found)
        return (
            f"Nothing changes until a model has {least} outcomes; the arm with most has {most} at one skill."
        )
    return f"What was learnt moves a model's predicted success by at most {BOUND * 100:.0f} points."


@transaction.atomic
def set_mode(account_id: int, mode: Learning.Mode, now: datetime) -> None:
    """Freezing keeps what counts at this moment."""
    kept = applied(account_id, now) if mode == Learning.Mode.FROZEN else {}
    Learning.objects.update_or_create(account_id=account_id, defaults={"mode": mode, "frozen": dict(kept)})


@transaction.atomic
def forget(account_id: int) -> int:
    """Delete the account's feedback and outcomes; says how many things were said by feedback."""
    Outcome.objects.filter(account_id=account_id).delete()
    Learning.objects.filter(account_id=account_id).update(frozen={})
    return Feedback.objects.filter(account_id=account_id).delete()[0]


class Learned:
    """Shifts of the accounts this process serves, renewed in the background.

    A request waits for the database only when its account was never seen here. A database that is away
    changes nothing: the last known shifts stay, or none.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[float, Mapping[str, float]]] = OrderedDict()
        self._asking: dict[int, asyncio.Task[Mapping[str, float]]] = {}

    async def of(self, account_id: int) -> Mapping[str, float]:
        known = self._known.get(account_id)
        if known is None:
            return await asyncio.shield(self._ask(account_id))  # others may wait for it too
        if time.monotonic() - known[0] > FRESH_S:
            self._ask(account_id)
        return known[1]

    async def stop(self) -> None:
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _ask(self, account_id: int) -> asyncio.Task[Mapping[str, float]]:
        task = self._asking.get(account_id)
        if task is None:
            task = self._asking[account_id] = asyncio.create_task(self._read(account_id))
            task.add_done_callback(lambda _: self._asking.pop(account_id, None))
        return task

    async def _read(self, account_id: int) -> Mapping[str, float]:
        try:
            found = await from_database(applied, account_id, datetime.now(UTC))
        except Exception:
            logger.exception("what account %s taught cannot be read; the last known stays", account_id)
            found = self._known[account_id][1] if account_id in self._known else {}
        self._known[account_id] = (time.monotonic(), found)
        self._known.move_to_end(account_id)
        if len(self._known) > _MOST_ACCOUNTS:
            self._known.popitem(last=False)
        return found
