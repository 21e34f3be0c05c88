"""Records refused calls in the background: a call's answer never waits for it, and a failure fails nothing.

A note in memory costs microseconds. Twice a second the notes are written in one transaction, in a thread.
What an account can make this server keep is bounded in memory (MOST_NOTED distinct refusals until the next
write; further equal ones are counted) and in the database (MOST_STORED rows, then the oldest go).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from billing.models import Request
from billing.refusals.models import RefusedCall
from core.background_writer import BackgroundWriter

MOST_NOTED = 20  # distinct refusals of an account between two writes
MOST_NOTED_OF_ALL = 1_000
MOST_STORED = 1_000  # rows of an account

_TEXTS = {"door": 16, "method": 8, "path": 120, "code": 40, "field": 100, "message": 300}


@dataclass(frozen=True)
class Refusal:
    """One refused call, or several equal ones. `status`: HTTP."""

    account_id: int
    key_id: int
    request_id: str
    at: datetime
    door: str
    method: str
    path: str
    status: int
    code: str
    field: str
    message: str
    count: int = 1

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for calls that are counted together."""
        return self.key_id, self.method, self.path, self.status, self.code, self.field, self.message


class RefusalRecorder(BackgroundWriter[Refusal]):
    """Notes refusals of one event loop and writes them in groups."""

    every_s = 0.5
    lost = "%d refused calls were not recorded"

    def __init__(self) -> None:
        super().__init__()
        self._noted: dict[tuple[Any, ...], Refusal] = {}
        self._of_account: Counter[int] = Counter()

    def note(self, refusal: Refusal) -> None:
        """Remember it for the next write. Never waits and never raises."""
        known = self._noted.get(refusal.kind)
        if known is not None:
            self._noted[refusal.kind] = replace(known, count=known.count + 1)
            return
        is_full = len(self._noted) >= MOST_NOTED_OF_ALL
        if is_full or self._of_account[refusal.account_id] >= MOST_NOTED:
            return
        self._of_account[refusal.account_id] += 1
        self._noted[refusal.kind] = refusal
        self._write_later()

    def _take(self) -> Sequence[Refusal]:
        noted, self._noted = self._noted, {}
        self._of_account.clear()
        return list(noted.values())

    def _store(self, notes: Sequence[Refusal]) -> None:
        store(notes)


def store(refusals: Sequence[Refusal]) -> None:
    """Write refusals, without those of requests that the ledger has, and delete each account's oldest."""
    ids = [refusal.request_id for refusal in refusals]
    accepted = set(Request.objects.filter(pk__in=ids).values_list("pk", flat=True))
    rows = [_row(refusal) for refusal in refusals if refusal.request_id not in accepted]
    RefusedCall.objects.bulk_create(rows)
    for account_id in {row.account_id for row in rows}:
        own = RefusedCall.objects.filter(account_id=account_id)
        oldest = own.order_by("-pk").values_list("pk", flat=True)[MOST_STORED : MOST_STORED + 1].first()
        if oldest is not None:
            own.filter(pk__lte=oldest).delete()


def refusal_of(
    error: Any, *, account_id: int, key_id: int, request_id: str, door: str, method: str, path: str
) -> Refusal:
    """The refusal that an ApiError of a call is."""
    return Refusal(
        account_id=account_id,
        key_id=key_id,
        request_id=request_id,
        at=datetime.now(UTC),
        door=door,
        method=method,
        path=path,
        status=error.status,
        code=error.code,
        field=_field(error),
        message=error.message,
    )


def _field(error: Any) -> str:
    """The first field that an error names."""
    if error.param:
        return str(error.param)
    details = error.details
    first = details[0] if isinstance(details, list) and details else None
    return str(first.get("field", "")) if isinstance(first, Mapping) else ""


def _row(refusal: Refusal) -> RefusedCall:
    columns = asdict(refusal)
    for name, length in _TEXTS.items():
        columns[name] = columns[name].replace("\x00", "")[:length]
    return RefusedCall(**columns)
