"""Re-pricing: gives settled requests the book's price for their time; explicit, reversible, audited.

A batch names a model and a time span. It stores the former price of every attempt and request, and adds the
difference to the windows that count them; undoing it restores exactly the former values. The work is split
into transactions of bounded size that lock windows before requests. An interrupted batch can be undone as far
as it got, or run again: requests that already have the new price are not touched.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet

from accounts.audit import record
from accounts.models import Account
from billing.ledger import windows
from billing.ledger.windows import Change, LockedWindows, Payer
from billing.models import Attempt, RepricedAttempt, RepricedRequest, Repricing, Request
from billing.prices.book import load_price_book
from billing.prices.prices import USD_QUANTUM, PriceBook
from billing.prices.repricing_plan import NotReversible, Plan, Totals, plans
from billing.reports.measures import nano_sum, usd
from billing.reports.rollup import mark_stale

CHUNK = 200  # requests per transaction
ZERO = Decimal(0)


def preview(model: str, since: datetime, until: datetime) -> Totals:
    """The totals `reprice` would have; writes nothing. Raises NotReversible as it would."""
    return _previewed(model, since, until, load_price_book())


def _previewed(model: str, since: datetime, until: datetime, book: PriceBook) -> Totals:
    total = Totals()
    for pks in _chunks(_affected(model, since, until)):
        for plan in plans(_requests(pks), model, book):
            total += plan.totals
    return total


def reprice(
    model: str, since: datetime, until: datetime, *, reason: str, by: str, now: datetime
) -> Repricing:
    """Give the model's charged attempts of requests made in [since, until) the prices of the book.

    Raises NotReversible before anything is written.
    """
    if until > now or since >= until:
        raise NotReversible("The span must end after it begins, and not in the future.")
    book = load_price_book()
    _previewed(model, since, until, book)
    batch = Repricing.objects.create(
        model=model, since=since, until=until, reason=reason[:200], made_by=by[:120], made_at=now
    )
    for pks in _chunks(_affected(model, since, until)):
        with transaction.atomic():
            rows, locked = _locked(pks)
            totals = Totals()
            for plan in plans(rows, model, book):
                _apply(plan, batch, locked)
                totals += plan.totals
            locked.save()
            batch.requests += totals.requests
            batch.usd_before += totals.usd_before
            batch.usd_after += totals.usd_after
            batch.save(update_fields=["requests", "usd_before", "usd_after"])
    _record("prices.repriced", batch, by)
    return batch


def undo(batch: Repricing, *, by: str, now: datetime) -> Repricing:
    """Restore exactly what the batch changed.

    Raises NotReversible if a later batch changed the same attempts.
    """
    if batch.undone_at is not None:
        raise NotReversible(f"Batch {batch.pk} was undone already.")
    later = _later_batches(batch)
    if later:
        raise NotReversible(f"Undo batch {', '.join(map(str, later))} first: it changed the same attempts.")
    remaining = batch.repriced_requests.filter(undone=False).order_by("request_id")
    for pks in _chunks(remaining.values_list("request_id", flat=True)):
        with transaction.atomic():
            rows, locked = _locked(pks)
            _restore(batch, {row.pk: row for row in rows}, locked)
            locked.save()
    batch.undone_by, batch.undone_at = by[:120], now
    batch.save(update_fields=["undone_by", "undone_at"])
    _record("prices.repricing_undone", batch, by)
    return batch


def _affected(model: str, since: datetime, until: datetime) -> Any:
    """Queryset of the ids of settled requests with a charged attempt of the model."""
    charged = Attempt.objects.filter(
        model=model, charged=True, request__created_at__gte=since, request__created_at__lt=until
    ).exclude(request__status=Request.Status.OPEN)
    return charged.order_by("request_id").values_list("request_id", flat=True).distinct()


def _chunks(pks: Any) -> Iterator[list[str]]:
    """Pages of ids by key, so that neither memory nor a database snapshot grows with the batch."""
    after = ""
    while page := list(pks.filter(request_id__gt=after)[:CHUNK]):
        yield page
        after = page[-1]


def _locked(pks: Sequence[str]) -> tuple[list[Request], LockedWindows]:
    """Lock the requests and all that counts them.

    The order is that of the whole ledger, which prevents deadlocks: windows by key, then requests by key,
    then the hours of reports. The requests are settled, so account, key and time, by which the windows are
    chosen before the requests are locked, can't change in between.
    """
    moments = [
        (_payer(row), row.created_at)
        for row in Request.objects.filter(pk__in=pks).select_related("key").defer("trace")
    ]
    locked = windows.lock(moments)
    rows = list(_requests(pks).select_for_update())
    mark_stale((row.account_id, row.created_at) for row in rows)
    return rows, locked


def _payer(request: Request) -> Payer:
    return Payer(request.account_id, request.key.lineage_id)


def _requests(pks: Sequence[str]) -> QuerySet[Request]:
    return Request.objects.filter(pk__in=pks).defer("trace").order_by("pk")


def _apply(plan: Plan, batch: Repricing, locked: LockedWindows) -> None:
    request = plan.request
    RepricedRequest.objects.create(
        batch=batch,
        request=request,
        before_usd=request.cost_usd,
        before_held_usd=request.held_usd,
        before_unit_prices=request.unit_prices,
        before_version=request.price_version,
        after_usd=plan.usd,
    )
    for new in plan.attempts:
        RepricedAttempt.objects.create(
            batch=batch,
            attempt=new.attempt,
            before_usd=new.attempt.cost_usd,
            before_unit_prices=new.attempt.unit_prices,
            before_version=new.attempt.price_version,
            after_usd=new.usd,
        )
        Attempt.objects.filter(pk=new.attempt.pk).update(
            cost_usd=new.usd, unit_prices=new.unit_prices, price_version=new.version
        )
    _write(request, plan.usd, plan.held_usd, plan.unit_prices, plan.version, locked)


def _restore(batch: Repricing, rows: dict[str, Request], locked: LockedWindows) -> None:
    repriced_attempts = batch.attempts.filter(attempt__request_id__in=rows).select_related("attempt")
    for stored in repriced_attempts:
        if stored.attempt.cost_usd != stored.after_usd:
            raise NotReversible(f"Attempt {stored.attempt_id} was changed by something else since.")
        Attempt.objects.filter(pk=stored.attempt_id).update(
            cost_usd=stored.before_usd,
            unit_prices=stored.before_unit_prices,
            price_version=stored.before_version,
        )
    repriced_requests = batch.repriced_requests.filter(request_id__in=rows, undone=False)
    for former in repriced_requests:
        _write(
            rows[former.request_id],
            former.before_usd,
            former.before_held_usd,
            former.before_unit_prices,
            former.before_version,
            locked,
        )
    repriced_requests.update(undone=True)


def _write(
    request: Request,
    usd: Decimal | None,
    held_usd: Decimal,
    prices: Any,
    version: str,
    locked: LockedWindows,
) -> None:
    """Write the request's price columns, and add the difference to every window that counts it."""
    Request.objects.filter(pk=request.pk).update(
        cost_usd=usd, unpriced=usd is None, held_usd=held_usd, unit_prices=prices, price_version=version
    )
    locked.apply(
        Change(
            _payer(request),
            request.created_at,
            spent_usd=(usd or ZERO) - (request.cost_usd or ZERO),
            held_usd=held_usd - request.held_usd,
        )
    )


def _later_batches(batch: Repricing) -> list[int]:
    attempts = batch.attempts.values("attempt_id")
    last = batch.attempts.order_by("-pk").values_list("pk", flat=True).first() or 0
    later = RepricedAttempt.objects.filter(attempt_id__in=attempts, pk__gt=last, batch__undone_at=None)
    return sorted(later.values_list("batch_id", flat=True).distinct())


def _record(action: str, batch: Repricing, by: str) -> None:
    """Write an audit entry for the operator, and one for each account whose costs changed."""
    span = {"since": batch.since.isoformat(), "until": batch.until.isoformat()}
    detail = {"batch": batch.pk, "reason": batch.reason} | span
    figures = {name: getattr(batch, name) for name in ("requests", "usd_before", "usd_after")}
    record(None, by, action, batch.model, detail | _as_text(figures))
    by_account = (
        batch.repriced_requests.values("request__account_id")
        .order_by("request__account_id")
        .annotate(
            requests=Count("pk"),
            usd_before=nano_sum("before_usd"),
            usd_after=nano_sum("after_usd"),
        )
    )
    accounts = Account.objects.in_bulk([row["request__account_id"] for row in by_account])
    for row in by_account:
        figures = {"requests": row["requests"]} | {
            name: usd(row[name]) for name in ("usd_before", "usd_after")
        }
        record(accounts[row["request__account_id"]], by, action, batch.model, detail | _as_text(figures))


def _as_text(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value.quantize(USD_QUANTUM):f}" if isinstance(value, Decimal) else value
        for name, value in figures.items()
    }
