"""Statements: what did each month come to? A list, and one statement on a page, as CSV and as JSON."""

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.access import account_required, current_account
from billing.statements import queries
from billing.statements.models import Statement

_SHOWN = 120  # ten years
_json = msgspec.json.Encoder(decimal_format="number")


@require_safe
@account_required
def statements(request: HttpRequest) -> HttpResponse:
    account = current_account(request)
    context = {"account": account, "statements": queries.account_statements(account.pk)[:_SHOWN]}
    return render(request, "billing/statements.html", context)


@require_safe
@account_required
def statement(request: HttpRequest, number: str) -> HttpResponse:
    one = _find(request, number)
    return render(
        request, "billing/statement.html", {"told": queries.statement_detail(one), "statement": one}
    )


@require_safe
@account_required
def as_csv(request: HttpRequest, number: str) -> HttpResponse:
    one = _find(request, number)
    return _file(queries.as_csv(one), "text/csv; charset=utf-8", f"statement-{one.number}.csv")


@require_safe
@account_required
def as_json(request: HttpRequest, number: str) -> HttpResponse:
    one = _find(request, number)
    content = _json.encode(queries.detail_fields(queries.statement_detail(one)))
    return _file(content, "application/json", f"statement-{one.number}.json")


def _find(request: HttpRequest, number: str) -> Statement:
    return get_object_or_404(queries.account_statements(current_account(request).pk), number=number)


def _file(content: bytes, content_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(content, content_type=content_type, headers=headers)
