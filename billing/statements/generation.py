"""Makes the statements that are due: for each account's ended months in which nothing is open any more.

A statement is a copy of the ledger's sums. What the ledger says of a month afterwards can differ, by a price
that was found or taken back; the difference to what has been billed for that month, by its statement and the
corrections of later ones, is a correction on the next statement. So all statements together come to what the
ledger came to when the last was made, for every month they are about.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Account, ApiKey
from billing.models import Request, Window
from billing.reports.measures import Sums, nano_sum, of_ledger, usd
from billing.reports.rollup import GRACE
from billing.statements.models import Statement, StatementLine
from billing.statements.months import Month, month_start, months

_TOKENS = (
    "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "output_tokens", "reasoning_tokens",
)  # fmt: skip
ZERO = Decimal(0)


def generate_statements(now: datetime) -> int:
    """Make what is due; returns how many were made. Twice at once or again later makes nothing twice."""
    asked = Request.objects.filter(account=OuterRef("pk"))
    accounts = Account.objects.filter(Exists(asked)).order_by("pk").values_list("pk", flat=True)
    return sum(_generate(pk, now) for pk in accounts.iterator())


@transaction.atomic
def _generate(account_id: int, now: datetime) -> int:
    # One run at a time for an account; requests, which refer to it, are opened meanwhile.
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    before = list(Statement.objects.filter(account=account).order_by("starts_at"))
    if before:
        first = before[-1].ends_at
    else:
        oldest = Request.objects.filter(account=account).order_by("created_at").first()
        assert oldest is not None
        first = month_start(oldest.created_at, account.time_zone)
    made = 0
    for month in months(first, account.time_zone, now - GRACE):
        rows = _rows(account.pk, month.starts_at, month.ends_at)
        if rows.filter(status=Request.Status.OPEN).exists():
            break  # it is swept in time; the months after it wait, so that numbers follow each other
        statement = _statement(account, month, rows, before, now)
        if statement is not None:
            before.append(statement)
            made += 1
    return made


def _statement(
    account: Account, month: Month, rows: QuerySet[Request], before: list[Statement], now: datetime
) -> Statement | None:
    """None when there is nothing to say of the month."""
    usage = of_ledger(rows, "key_id", "provider", "served_model")
    corrections = list(_differences(before))
    if not usage and not corrections:
        return None
    total = sum(usage.values(), Sums())
    corrected = sum((difference for _, difference in corrections), ZERO)
    statement = Statement.objects.create(
        account=account,
        number=f"{month.label}-{account.pk:06d}",
        time_zone=account.time_zone,
        starts_at=month.starts_at,
        ends_at=month.ends_at,
        made_at=now,
        requests=total.requests,
        unpriced=total.unpriced,
        usage_usd=total.cost_usd,
        corrections_usd=corrected,
        total_usd=total.cost_usd + corrected,
    )
    names = dict(ApiKey.objects.filter(account=account).values_list("pk", "name"))
    lines = [
        StatementLine(
            statement=statement,
            key_id=key_id,
            key_name=names[key_id],
            provider=provider,
            model=model,
            requests=sums.requests,
            unpriced=sums.unpriced,
            cost_usd=sums.cost_usd,
            **{name: getattr(sums, name) for name in _TOKENS},
        )
        for (key_id, provider, model), sums in sorted(usage.items())
    ]
    lines += [
        StatementLine(statement=statement, corrects=one, cost_usd=difference)
        for one, difference in corrections
    ]
    StatementLine.objects.bulk_create(lines)
    return statement


def _differences(before: Sequence[Statement]) -> Iterator[tuple[Statement, Decimal]]:
    """Statements for whose time the ledger has another sum now than was billed, and what is missing there."""
    lines = StatementLine.objects.filter(corrects__in=before).order_by().values_list("corrects")
    corrected = dict(lines.annotate(nano_=nano_sum("cost_usd")).values_list("corrects", "nano_"))
    for statement in before:
        billed = statement.usage_usd + usd(corrected.get(statement.pk, 0))
        difference = _spent(statement) - billed
        if difference:
            yield statement, difference


def _spent(statement: Statement) -> Decimal:
    """What the ledger has: from the month's window if there is one, whose sum is the ledger's."""
    window = Window.objects.filter(
        scope=Window.Scope.ACCOUNT,
        scope_id=statement.account_id,
        period=Window.Period.MONTH,
        starts_at=statement.starts_at,
        ends_at=statement.ends_at,
    ).first()
    if window is not None:
        return window.spent_usd
    rows = _rows(statement.account_id, statement.starts_at, statement.ends_at)
    return usd(rows.aggregate(nano=nano_sum("cost_usd"))["nano"])


def _rows(account_id: int, starts_at: datetime, ends_at: datetime) -> QuerySet[Request]:
    return Request.objects.filter(account_id=account_id, created_at__gte=starts_at, created_at__lt=ends_at)
