"""The request log: `GET /api/v1/requests`, newest first, one request in full, and the export."""

import base64
import binascii
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

import msgspec
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from billing.models import Attempt
from billing.models import Request as LedgerRow
from billing.reports.export import Format, chunks
from billing.reports.sorting import Place, Sort, places, within_reach
from billing.usage_columns import TOKEN_COLUMNS
from core.database import from_database
from routing.doors.resources.openapi import EXPORT_RESPONSES, REQUEST_RESPONSES, REQUESTS_RESPONSES
from routing.doors.resources.schema import MAX_ID, ExportSerializer, LogSerializer, parse_query
from routing.doors.shared.answer_facts import usd
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.errors import validation_error
from routing.doors.shared.native.envelope import enveloped
from routing.language.errors import NotFound
from routing.replay import alternatives

# The index has only the account and the time. Other filters test at most this many rows for a page, so a page
# can hold fewer rows than its limit although there is a next page.
SCAN_ROWS = 20_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MICROSECOND = 32_472_144_000_000_000  # 2999-01-01


class RequestsView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="requests",
        summary="List this account's requests, newest first",
        description="A filtered page may hold fewer than `limit`: there are more until `next_cursor` is "
        "null. `sort` orders by another figure, among the newest 100,000 requests of the period.",
        parameters=[LogSerializer],
        responses=REQUESTS_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponse:
        query = parse_query(LogSerializer, request._request.GET.dict())
        rows, following = await from_database(_page_of, self.caller.account_id, query)
        return enveloped(
            request._request, [_line(row) for row in rows], next_cursor=str(following) if following else None
        )


class ExportView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="requests_export",
        summary="Export this account's requests, newest first",
        description="Every match, streamed as CSV with a line of names, or as one JSON object a line. "
        "Money in USD to nine decimals. In CSV a text that a spreadsheet would run has a ' before it.",
        parameters=[ExportSerializer],
        responses=EXPORT_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponseBase:
        query = parse_query(ExportSerializer, request._request.GET.dict())
        how = Format(query["format"])
        rows = _in_order(self.caller.account_id, {"to": datetime.now(UTC)} | query, None)
        parts = chunks(rows.filter(_conditions(query)), how)
        headers = {
            "Content-Disposition": f'attachment; filename="requests.{how}"',
            "Cache-Control": "no-store",
        }
        return StreamingHttpResponse(_read(parts), content_type=how.content_type, headers=headers)


class RequestView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="request",
        summary="See one request: decision, attempts, tokens and prices",
        responses=REQUEST_RESPONSES,
    )
    async def get(self, request: Request, request_id: str) -> HttpResponse:
        row = await from_database(_find, self.caller.account_id, request_id)
        if row is None:
            raise NotFound("This account has no request of that id.")
        return enveloped(request._request, _whole(row))


class SortedCursor(NamedTuple):
    """The place of a row in a sorted list; opaque to callers."""

    place: Place

    def __str__(self) -> str:
        return _opaque(str(self.place))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValidationError for a text that is not a cursor."""
        place = Place.parse(_transparent(text))
        if place is None:
            raise _invalid_cursor()
        return cls(place)


class Cursor(NamedTuple):
    """The place of a row in the list; opaque to callers."""

    created_at: datetime
    id: str

    def __str__(self) -> str:
        microseconds = (self.created_at - _EPOCH) // timedelta(microseconds=1)
        return _opaque(f"{microseconds}.{self.id}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValidationError for a text that is not a cursor."""
        digits, _, row_id = _transparent(text).partition(".")
        is_valid = digits.isdigit() and 0 < len(row_id) <= MAX_ID and row_id.isprintable()
        if not is_valid or int(digits) > _LAST_MICROSECOND:
            raise _invalid_cursor()
        return cls(_EPOCH + timedelta(microseconds=int(digits)), row_id)


def _opaque(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _transparent(text: str) -> str:
    """The text that `_opaque` was given; empty for an invalid one."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _invalid_cursor() -> Exception:
    rule = "Must be the next_cursor of an earlier page, with the same sort."
    return validation_error([{"field": "cursor", "message": rule}])


async def _read(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read each part in a thread once the caller has taken the previous part.

    There is no retry when the database is unavailable: a file that ends early would look complete.
    """

    def following() -> bytes | None:
        close_old_connections()
        return next(parts, None)

    while (part := await sync_to_async(following, thread_sensitive=False)()) is not None:
        yield part


def _page_of(
    account_id: int, query: dict[str, Any]
) -> tuple[list[LedgerRow], "Cursor | SortedCursor | None"]:
    sort, cursor = Sort(query["sort"]), query.get("cursor")
    if sort == Sort.NEWEST:
        return _page(account_id, query, Cursor.parse(cursor) if cursor is not None else None)
    start = SortedCursor.parse(cursor) if cursor is not None else None
    within, _ = within_reach(_in_order(account_id, query, None), sort)
    limit = query["limit"]
    ahead = places(within.filter(_conditions(query)), sort, limit + 1, start.place if start else None)
    shown = ahead[:limit]
    rows = LedgerRow.objects.filter(id__in=[place.id for place in shown]).select_related("key").defer("trace")
    by_id = {row.id: row for row in rows}
    following = SortedCursor(shown[-1]) if len(ahead) > limit else None
    return [by_id[place.id] for place in shown if place.id in by_id], following


def _page(
    account_id: int, query: dict[str, Any], start: Cursor | None
) -> tuple[list[LedgerRow], Cursor | None]:
    """Rows older than `start`, and the cursor of the next page; None on the last page."""
    in_order = _in_order(account_id, query, start)
    conditions, limit = _conditions(query), query["limit"]
    matching = in_order
    if conditions:
        tested = LedgerRow.objects.filter(id__in=in_order.values("id")[:SCAN_ROWS])
        matching = tested.filter(conditions).order_by("-created_at", "-id")
    rows = list(matching.select_related("key").defer("trace")[: limit + 1])
    if len(rows) > limit:
        return rows[:limit], _place(rows[limit - 1])
    return rows, _untested(in_order) if conditions else None


def _in_order(account_id: int, query: dict[str, Any], start: Cursor | None) -> QuerySet[LedgerRow]:
    rows = LedgerRow.objects.filter(account_id=account_id).order_by("-created_at", "-id")
    if "from" in query:
        rows = rows.filter(created_at__gte=query["from"])
    if "to" in query:
        rows = rows.filter(created_at__lt=query["to"])
    if (
        start is not None
    ):  # the first condition is implied, but it is the one an index range scan can start from
        same_time = Q(created_at=start.created_at, id__lt=start.id)
        rows = rows.filter(created_at__lte=start.created_at).filter(
            Q(created_at__lt=start.created_at) | same_time
        )
    return rows


def _conditions(query: dict[str, Any]) -> Q:
    columns = {"provider": "provider", "strategy": "strategy", "status": "status", "key": "key_id"}
    conditions = Q(**{column: query[name] for name, column in columns.items() if name in query})
    if "model" in query:
        conditions &= Q(served_model=query["model"]) | Q(served_model="", routed_model=query["model"])
    return conditions


def _untested(in_order: QuerySet[LedgerRow]) -> Cursor | None:
    """The place of the last row tested, if there are rows beyond it."""
    around = list(in_order.only("id", "created_at")[SCAN_ROWS - 1 : SCAN_ROWS + 1])
    return _place(around[0]) if len(around) == 2 else None


def _place(row: LedgerRow) -> Cursor:
    return Cursor(row.created_at, row.id)


def _find(account_id: int, request_id: str) -> LedgerRow | None:
    if len(request_id) > MAX_ID or not request_id.isprintable():  # PostgreSQL takes no NUL
        return None
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    rows = LedgerRow.objects.filter(account_id=account_id, pk=request_id).select_related("key")
    return rows.prefetch_related(attempts, "feedback").first()


def _line(row: LedgerRow) -> dict[str, Any]:
    """A request as the list shows it. Times in ms, money in USD."""
    return {
        "id": row.id,
        "created_at": row.created_at,
        "settled_at": row.settled_at,
        "status": row.status,
        "door": row.door,
        "routing_mode": row.mode,
        "strategy": row.strategy,
        "query_type": row.query_type or None,
        "requested_model": row.requested_model or None,
        "routed_model": row.routed_model,
        "model_used": row.served_model or None,
        "effort": row.served_effort or None,
        "provider": row.provider or None,
        "streamed": row.streamed,
        "fallback_used": row.fallback_used,
        "key": {"id": row.key_id, "name": row.key.name, "last_four": row.key.last_four},
        "usage": _usage(row),
        "latency_ms": row.latency_ms,
        "ttft_ms": row.ttft_ms,
        "finish_reason": row.finish_reason or None,
        "error": {"code": row.error_code, "message": row.error_message} if row.error_code else None,
        "metadata": row.metadata,
    }


def _usage(row: LedgerRow) -> dict[str, Any]:
    input_tokens = (
        row.uncached_input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.cache_write_1h_tokens
    )
    return {
        "input_tokens": input_tokens,
        "output_tokens": row.output_tokens,
        "total_tokens": input_tokens + row.output_tokens,
        "cached_input_tokens": row.cache_read_tokens,
        "internal_reasoning_tokens": row.reasoning_tokens,
        "cost_usd": usd(row.cost_usd),
    }


def _whole(row: LedgerRow) -> dict[str, Any]:
    """The row of the list, with the full decision, the attempts, and the parts of the cost."""
    saved = None if row.baseline_usd is None or row.cost_usd is None else row.baseline_usd - row.cost_usd
    return _line(row) | {
        "upstream_model": row.upstream_model or None,
        "usage_by_class": {name: getattr(row, name) for name in TOKEN_COLUMNS},
        "usage_estimated": row.usage_estimated,
        "usage_issue": row.usage_issue or None,
        "unit_prices": {name: float(price) for name, price in (row.unit_prices or {}).items()} or None,
        "price_version": row.price_version or None,
        "unpriced": row.unpriced,
        "wasted_usd": usd(row.wasted_usd),
        "baseline": {
            "model": row.baseline_model or None,
            "cost_usd": usd(row.baseline_usd),
            "low_usd": usd(row.baseline_low_usd),
            "high_usd": usd(row.baseline_high_usd),
            "saved_usd": usd(saved),
            "version": row.baseline_version,
        },
        "selection_probability": row.selection_probability,
        "attempts": [_attempt(attempt) for attempt in row.attempts.all()],
        "feedback": [
            {"score": entry.score, "comment": entry.comment or None, "updated_at": entry.updated_at}
            for entry in row.feedback.all()
        ],
        "fidelity": row.fidelity or None,
        "alternatives": alternatives.of_stored(row.trace),
        "decision": msgspec.to_builtins(row.trace),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "model": attempt.model,
        "effort": attempt.effort or None,
        "provider": attempt.provider,
        "outcome": attempt.outcome,
        "error": {"kind": attempt.error_kind, "message": attempt.error_message}
        if attempt.error_kind
        else None,
        "status_code": attempt.status_code,
        "started_at": attempt.started_at,
        "latency_ms": attempt.latency_ms,
        "ttft_ms": attempt.ttft_ms,
        "usage_by_class": {name: getattr(attempt, name) for name in TOKEN_COLUMNS},
        "cost_usd": usd(attempt.cost_usd),
        "provider_request_id": attempt.provider_request_id or None,
    }
