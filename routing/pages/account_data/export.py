"""Everything an account can see, as one ZIP file: JSON for settings and people, lines of JSON for rows."""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any

import msgspec
from django.db.models import Model

from accounts.models import Account, ApiKey, AuditEntry, Member
from billing.alerts.models import Alert, AlertChannel
from billing.content.models import StoredContent
from billing.content.store import content_of
from billing.models import Attempt, Request
from billing.refusals.models import RefusedCall
from billing.reports.export import Format, chunks
from billing.statements.models import Statement
from routing.learning.models import Feedback, Outcome

_SECRET = frozenset({"digest", "secret", "password"})  # columns that no export has
_json = msgspec.json.Encoder(enc_hook=str, decimal_format="string")


def export(account: Account) -> IO[bytes]:
    """The file, at its beginning; closing it deletes it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        _write(archive, "account.json", [_json.encode(_account(account))])
        _write(archive, "requests.ndjson", chunks(Request.objects.filter(account=account), Format.NDJSON))
        _write(archive, "attempts.ndjson", _lines(Attempt.objects.filter(request__account=account)))
        _write(archive, "refused_calls.ndjson", _lines(RefusedCall.objects.filter(account=account)))
        _write(archive, "statements.ndjson", _lines(Statement.objects.filter(account=account)))
        _write(archive, "feedback.ndjson", _lines(Feedback.objects.filter(request__account=account)))
        _write(archive, "outcomes.ndjson", _lines(Outcome.objects.filter(account=account)))
        _write(archive, "alerts.ndjson", _lines(Alert.objects.filter(account=account)))
        _write(archive, "audit.ndjson", _lines(AuditEntry.objects.filter(account=account)))
        _write(archive, "content.ndjson", _contents(account))
    file.seek(0)
    return file


def _account(account: Account) -> dict[str, Any]:
    members = Member.objects.filter(account=account).select_related("user")
    return {
        "account": _columns(account),
        "members": [
            {"email": member.user.email, "role": member.role, "time_zone": member.user.time_zone}
            for member in members
        ],
        "keys": [_columns(key) for key in ApiKey.objects.filter(account=account).order_by("pk")],
        "alert_channels": [_columns(each) for each in AlertChannel.objects.filter(account=account)],
    }


def _contents(account: Account) -> Iterator[bytes]:
    """Stored prompts and answers, decrypted."""
    rows = StoredContent.objects.filter(account=account).select_related("request").order_by("at")
    for row in rows.iterator(chunk_size=100):
        content = content_of(row.request)
        yield _json.encode({"request": row.request_id, "at": row.at, "content": content}) + b"\n"


def _lines(rows: Any) -> Iterator[bytes]:
    for row in rows.order_by("pk").iterator(chunk_size=1_000):
        yield _json.encode(_columns(row)) + b"\n"


def _columns(row: Model) -> dict[str, Any]:
    return {
        field.attname: _plain(getattr(row, field.attname))
        for field in row._meta.concrete_fields
        if field.attname not in _SECRET
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _write(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> None:
    with archive.open(name, "w", force_zip64=True) as entry:
        for part in parts:
            entry.write(part)
