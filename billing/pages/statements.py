"""Monthly statements: the list, and each statement as a page, PDF, CSV and JSON."""

from zoneinfo import ZoneInfo

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import account_required, current_account
from billing.ledger.windows import spans
from billing.pages.download import file_response
from billing.reports.measures import Sums
from billing.reports.queries import Sources
from billing.statements import queries
from billing.statements.models import Statement

_SHOWN = 120  # ten years
_json = msgspec.json.Encoder(decimal_format="number")


@require_safe
@account_required
def statements(request: HttpRequest) -> HttpResponse:
    account, now = current_account(request), timezone.now()
    _, month = spans(now, account.time_zone)
    so_far = sum(Sources.now(account.pk, month.starts_at, now).sums(month.starts_at, now).values(), Sums())
    zone = ZoneInfo(account.time_zone)
    context = {
        "account": account,
        "statements": queries.account_statements(account.pk)[:_SHOWN],
        "month": month,
        "so_far": so_far,
        "first": month.starts_at.astimezone(zone).date(),
        "today": now.astimezone(zone).date(),
    }
    return render(request, "billing/statements.html", context)


@require_safe
@account_required
def statement(request: HttpRequest, number: str) -> HttpResponse:
    row = _find(request, number)
    return render(
        request, "billing/statement.html", {"detail": queries.statement_detail(row), "statement": row}
    )


@require_safe
@account_required
def as_csv(request: HttpRequest, number: str) -> HttpResponse:
    row = _find(request, number)
    return file_response(queries.as_csv(row), "text/csv; charset=utf-8", f"statement-{row.number}.csv")


@require_safe
@account_required
def as_json(request: HttpRequest, number: str) -> HttpResponse:
    row = _find(request, number)
    content = _json.encode(queries.detail_fields(queries.statement_detail(row)))
    return file_response(content, "application/json", f"statement-{row.number}.json")


@require_safe
@account_required
def as_pdf(request: HttpRequest, number: str) -> HttpResponse:
    from billing.statements import pdf  # imported here: fpdf2 takes 17 MB, and few processes write a PDF

    row = _find(request, number)
    content = pdf.as_pdf(queries.statement_detail(row), current_account(request))
    return file_response(content, "application/pdf", f"statement-{row.number}.pdf")


def _find(request: HttpRequest, number: str) -> Statement:
    return get_object_or_404(queries.account_statements(current_account(request).pk), number=number)
