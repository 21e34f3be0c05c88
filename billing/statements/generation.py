"""Generates the statements that are due: for each account's ended months without open requests.

A statement is a copy of the ledger's sums. A re-pricing can change these sums later. The difference to what
has been billed for that month, by its statement and the corrections on later ones, becomes a correction on
the next statement. So all statements together equal the ledger at the time of the latest one, for every month
they cover.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Account, ApiKey
from billing.alerts.models import Alert
from billing.alerts.publish import raise_alert, resolve_alert
from billing.ledger.windows import totals
from billing.models import Request, Window
from billing.reports.measures import Sums, nano_sum, of_ledger, usd
from billing.reports.rollup import GRACE
from billing.statements.models import Statement, StatementLine
from billing.statements.months import Month, month_start, months
from billing.usage_columns import TOKEN_COLUMNS
from core.numbers.formats import money_text

ZERO = Decimal(0)
_ANNOUNCED_WITHIN = timedelta(days=7)  # after its month; older ones are made up for without a message


def generate_statements(now: datetime) -> int:
    """Generate what is due; returns how many. Idempotent, also when it runs twice at once."""
    requests = Request.objects.filter(account=OuterRef("pk"))
    accounts = Account.objects.filter(Exists(requests)).order_by("pk").values_list("pk", flat=True)
    return sum(_generate(pk, now) for pk in accounts.iterator())


@transaction.atomic
def _generate(account_id: int, now: datetime) -> int:
    # One run at a time per account. NO KEY UPDATE still lets requests, which refer to the account, be
    # inserted.
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    before = list(Statement.objects.filter(account=account).order_by("starts_at"))
    if before:
        first = before[-1].ends_at
    else:
        oldest = Request.objects.filter(account=account).order_by("created_at").first()
        assert oldest is not None
        first = month_start(oldest.created_at, account.time_zone)
    generated = 0
    for month in months(first, account.time_zone, now - GRACE):
        rows = _rows(account.pk, month.starts_at, month.ends_at)
        if rows.filter(status=Request.Status.OPEN).exists():
            break  # until it is settled or swept; later months wait, because statements follow each other
        statement = _statement(account, month, rows, before, now)
        if statement is not None:
            before.append(statement)
            generated += 1
    return generated


def _statement(
    account: Account, month: Month, rows: QuerySet[Request], before: list[Statement], now: datetime
) -> Statement | None:
    """None if the month has neither usage nor corrections."""
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
            **{name: getattr(sums, name) for name in TOKEN_COLUMNS},
        )
        for (key_id, provider, model), sums in sorted(usage.items())
    ]
    lines += [
        StatementLine(statement=statement, corrects=earlier, cost_usd=difference)
        for earlier, difference in corrections
    ]
    StatementLine.objects.bulk_create(lines)
    if month.ends_at > now - _ANNOUNCED_WITHIN:
        _announce(statement)
    return statement


def _announce(statement: Statement) -> None:
    """Tell the account's channels that its statement is ready."""
    key = f"statement.{statement.number}"
    raise_alert(
        "statement.ready",
        f"Your statement of {statement.title}: {money_text(statement.total_usd)}",
        f"{statement.requests:,} requests, {money_text(statement.usage_usd)} used"
        + (f", {money_text(statement.corrections_usd)} corrected" if statement.corrections_usd else "")
        + ".",
        account=statement.account,
        severity=Alert.Severity.INFO,
        detail={"statement": statement.number},
        once_key=key,
    )
    resolve_alert(key)  # there is nothing to do about it


def _differences(before: Sequence[Statement]) -> Iterator[tuple[Statement, Decimal]]:
    """Earlier statements whose month's sum in the ledger differs from what was billed, and by how much."""
    lines = StatementLine.objects.filter(corrects__in=before).order_by().values_list("corrects")
    corrected = dict(lines.annotate(nano_=nano_sum("cost_usd")).values_list("corrects", "nano_"))
    for statement in before:
        billed = statement.usage_usd + usd(corrected.get(statement.pk, 0))
        difference = _spent(statement) - billed
        if difference:
            yield statement, difference


def _spent(statement: Statement) -> Decimal:
    """The ledger's sum for the statement's month; read from the month's window if there is one."""
    windows = Window.objects.filter(
        scope=Window.Scope.ACCOUNT,
        scope_id=statement.account_id,
        period=Window.Period.MONTH,
        starts_at=statement.starts_at,
        ends_at=statement.ends_at,
    )
    if (window := next(totals(windows), None)) is not None:
        return window.spent_usd
    rows = _rows(statement.account_id, statement.starts_at, statement.ends_at)
    return usd(rows.aggregate(nano=nano_sum("cost_usd"))["nano"])


def _rows(account_id: int, starts_at: datetime, ends_at: datetime) -> QuerySet[Request]:
    return Request.objects.filter(account_id=account_id, created_at__gte=starts_at, created_at__lt=ends_at)
