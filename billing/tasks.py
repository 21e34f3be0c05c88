"""Celery tasks of money: expire abandoned requests, delete old rows, refresh prices, audit the ledger."""

import logging
from datetime import UTC, datetime

from celery import shared_task
from genai_prices import UpdatePrices

from billing.checks.audit import LATELY, alert_broken, audit, store_audit
from billing.ledger.idempotency import forget_expired
from billing.ledger.sweeper import sweep
from billing.prices.proposals import note_unpriced
from billing.prices.refresh import refresh
from billing.retention import forget_old
from core.database import database_now

logger = logging.getLogger(__name__)


@shared_task
def sweep_open_requests() -> None:
    swept = sweep(database_now())
    if swept:
        logger.warning("%d requests were left open by a process that ended; settled as expired", swept)


@shared_task
def forget_idempotent_outcomes() -> None:
    forget_expired(datetime.now(UTC))


@shared_task
def forget_old_alerts() -> None:
    forget_old(datetime.now(UTC))


@shared_task
def refresh_prices() -> None:
    """Failing changes nothing: the rows there are stay in force, and tomorrow is another try."""
    try:
        snapshot = UpdatePrices().fetch()
    except Exception as error:  # network, status or form of the list: whatever it is, there is no newer list
        logger.warning("no newer price list could be fetched (%s); prices stay as they are", error)
        return
    if snapshot is not None:
        refresh(datetime.now(UTC), snapshot)


@shared_task
def ask_for_prices() -> None:
    """On the first request of a model without a price, an operator is asked for one."""
    note_unpriced(datetime.now(UTC))


@shared_task
def audit_lately() -> None:
    """Check the promises for the requests of the last two days."""
    now = datetime.now(UTC)
    _audit(now, now - LATELY)


@shared_task
def audit_ledger() -> None:
    """Check the promises for all requests, months as well."""
    _audit(datetime.now(UTC), None)


def _audit(now: datetime, since: datetime | None) -> None:
    found = audit(now, since)
    store_audit(found)
    alert_broken(found)
