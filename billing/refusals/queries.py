"""Refused calls of an account: a page, and how many they are. An account has few, so all is bounded."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet, Sum

from billing.refusals.models import RefusedCall


def of_account(
    account_id: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    key: int | None = None,
    code: str = "",
    text: str = "",
) -> QuerySet[RefusedCall]:
    """Newest first. `since` is inclusive, `until` exclusive; `text`: in id, code, field, message or path."""
    rows = RefusedCall.objects.filter(account_id=account_id).select_related("key").order_by("-pk")
    exact: dict[str, Any] = {"at__gte": since, "at__lt": until, "key_id": key, "code": code or None}
    rows = rows.filter(**{lookup: value for lookup, value in exact.items() if value is not None})
    if text:
        columns = ("request_id", "code", "field", "message", "path")
        condition = Q()
        for column in columns:
            condition |= Q(**{f"{column}__icontains": text})
        rows = rows.filter(condition)
    return rows


def newest(account_id: int) -> RefusedCall | None:
    return of_account(account_id).first()


def find(account_id: int, request_id: str) -> RefusedCall | None:
    return of_account(account_id).filter(request_id=request_id).first()


def calls(rows: QuerySet[RefusedCall]) -> int:
    """How many calls the rows stand for."""
    return rows.order_by().aggregate(calls=Sum("count"))["calls"] or 0


def page(
    rows: QuerySet[RefusedCall], size: int, before: int | None
) -> tuple[Sequence[RefusedCall], int | None]:
    """At most `size` rows older than the primary key `before`, and where the next page begins."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    shown = list(rows[: size + 1])
    return shown[:size], shown[size - 1].pk if len(shown) > size else None
