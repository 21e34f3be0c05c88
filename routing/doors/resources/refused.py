"""Refused calls: `GET /api/v1/requests/refused`, newest first."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from billing.refusals import queries
from billing.refusals.models import RefusedCall
from core.database import from_database
from routing.doors.resources.openapi import REFUSED_RESPONSES
from routing.doors.resources.schema import RefusedSerializer, parse_query
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.native.envelope import enveloped


class RefusedView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="requests_refused",
        summary="List this account's refused calls, newest first",
        description="Calls with a key of this account that were answered with a 4xx before they became a "
        "request: nothing was sent to a provider, nothing is charged. They appear within two seconds.",
        parameters=[RefusedSerializer],
        responses=REFUSED_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponse:
        query = parse_query(RefusedSerializer, request._request.GET.dict())
        rows, following = await from_database(_page, self.caller.account_id, query)
        return enveloped(
            request._request, [_line(row) for row in rows], next_cursor=str(following) if following else None
        )


def _page(account_id: int, query: dict[str, Any]) -> tuple[Sequence[RefusedCall], int | None]:
    rows = queries.of_account(
        account_id,
        since=query.get("from"),
        until=query.get("to"),
        key=query.get("key"),
        code=query.get("code", ""),
    )
    return queries.page(rows, query["limit"], query.get("cursor"))


def _line(row: RefusedCall) -> dict[str, Any]:
    return {
        "id": row.request_id,
        "created_at": row.at,
        "count": row.count,
        "door": row.door,
        "method": row.method,
        "path": row.path,
        "status_code": row.status,
        "error": {"code": row.code, "message": row.message},
        "field": row.field or None,
        "key": {"id": row.key_id, "name": row.key.name, "last_four": row.key.last_four},
    }
