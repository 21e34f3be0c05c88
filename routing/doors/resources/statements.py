"""Monthly statements: `GET /api/v1/statements`, newest first, and one with its sums by model and key."""

from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from billing.statements import queries
from core.database import from_database
from routing.doors.resources.openapi import STATEMENT_RESPONSES, STATEMENTS_RESPONSES
from routing.doors.shared.answer_facts import usd
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.native.envelope import enveloped
from routing.language.errors import NotFound


class StatementsView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="statements",
        summary="List this account's monthly statements, newest first",
        responses=STATEMENTS_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponse:
        statements = await from_database(_all, self.caller.account_id)
        return enveloped(request._request, statements)


class StatementView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="statement",
        summary="See one statement: sums by model and key, and corrections of earlier months",
        responses=STATEMENT_RESPONSES,
    )
    async def get(self, request: Request, number: str) -> HttpResponse:
        statement = await from_database(_find, self.caller.account_id, number)
        return enveloped(request._request, statement)


def _all(account_id: int) -> Any:
    return _plain([queries.header_fields(row) for row in queries.account_statements(account_id)])


def _find(account_id: int, number: str) -> Any:
    statement = queries.account_statements(account_id).filter(number=number).first()
    if statement is None:
        raise NotFound("This account has no statement of that number.", param="number")
    return _plain(queries.detail_fields(queries.statement_detail(statement)))


def _plain(value: Any) -> Any:
    """Money as JSON numbers, at every depth."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return usd(value) if isinstance(value, Decimal) else value
