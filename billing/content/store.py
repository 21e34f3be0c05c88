"""Stores and reads prompts and answers. The answer of a request never waits for it; a failure fails nothing.

Texts are noted in memory, and once a second compressed, encrypted and written in a thread. What waits is
bounded by MOST_WAITING bytes: while more arrives than can be written, further texts are not stored.
"""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from accounts.models import Account
from billing.content.models import StoredContent
from billing.models import Request
from core.background_writer import BackgroundWriter
from core.database import delete_in_batches
from core.encryption import CannotDecrypt, decrypt_bytes, encrypt_bytes

logger = logging.getLogger(__name__)

MOST_TEXT = 200_000  # characters of a prompt, and of an answer; the rest is left out
MOST_WAITING = 32_000_000  # characters in memory


class Turn(msgspec.Struct, frozen=True):
    """One message. Images, files and sound are named, not stored."""

    role: str
    text: str


class Content(msgspec.Struct, frozen=True):
    """The messages of a request and its answer. `is_cut`: too long to be stored whole."""

    prompt: tuple[Turn, ...]
    answer: str
    is_cut: bool = False


@dataclass(frozen=True)
class _Noted:
    request_id: str
    account_id: int
    at: datetime
    content: Content
    size: int


class ContentStore(BackgroundWriter[_Noted]):
    """Notes contents of one event loop and writes them in groups."""

    every_s = 1.0
    lost = "the content of %d requests was not stored"

    def __init__(self) -> None:
        super().__init__()
        self._noted: list[_Noted] = []
        self._waiting = 0

    def note(self, request_id: str, account_id: int, at: datetime, content: Content) -> None:
        """Remember it for the next write. Never waits and never raises."""
        content = bounded(content)
        size = len(content.answer) + sum(len(turn.text) for turn in content.prompt)
        if self._waiting + size > MOST_WAITING:
            logger.warning("the content of request %s is not stored: too much waits", request_id)
            return
        self._noted.append(_Noted(request_id, account_id, at, content, size))
        self._waiting += size
        self._write_later()

    def _take(self) -> Sequence[_Noted]:
        noted, self._noted = self._noted, []
        self._waiting = 0
        return noted

    def _store(self, notes: Sequence[_Noted]) -> None:
        _store(notes)


def content_of(row: Request) -> Content | None:
    """The stored content of a request; None: nothing is stored, or it cannot be decrypted any more."""
    stored = StoredContent.objects.filter(pk=row.pk).first()
    if stored is None:
        return None
    try:
        return msgspec.json.decode(zlib.decompress(decrypt_bytes(bytes(stored.body))), type=Content)
    except CannotDecrypt:
        logger.warning("the content of request %s was encrypted with another SECRET_KEY", row.pk)
        return None


def erase_content(account: Account) -> int:
    """Delete all stored content of an account; returns the number of requests."""
    return delete_in_batches(StoredContent.objects.filter(account=account))


def delete_old_content(now: datetime) -> int:
    """Delete content that is older than its account keeps it; returns the number of requests."""
    deleted = 0
    for account in Account.objects.filter(contents__isnull=False).distinct():
        before = now - timedelta(days=account.keep_content_days)
        deleted += delete_in_batches(StoredContent.objects.filter(account=account, at__lt=before))
    return deleted


def _store(noted: Sequence[_Noted]) -> None:
    allowed = set(
        Account.objects.filter(pk__in={each.account_id for each in noted}, log_content=True).values_list(
            "pk", flat=True
        )
    )  # an account may have opted out, or have been deleted, since
    rows = [
        StoredContent(
            request_id=each.request_id,
            account_id=each.account_id,
            at=each.at,
            body=encrypt_bytes(zlib.compress(msgspec.json.encode(each.content), 3)),
        )
        for each in noted
        if each.account_id in allowed
    ]
    StoredContent.objects.bulk_create(rows, ignore_conflicts=True)


def bounded(content: Content) -> Content:
    """The newest turns and the beginning of the answer, each within MOST_TEXT."""
    left, turns = MOST_TEXT, []
    for turn in reversed(content.prompt):
        if left <= 0:
            break
        turns.append(turn if len(turn.text) <= left else Turn(turn.role, turn.text[:left]))
        left -= len(turn.text)
    is_cut = left < 0 or len(turns) < len(content.prompt) or len(content.answer) > MOST_TEXT
    return Content(tuple(reversed(turns)), content.answer[:MOST_TEXT], is_cut)
