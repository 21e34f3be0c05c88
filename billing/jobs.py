"""Celery tasks of money: sweep what was left open, refresh the price book."""

import logging
from datetime import UTC, datetime

from celery import shared_task
from genai_prices import UpdatePrices

from billing.price_refresh import refresh
from billing.sweeper import sweep

logger = logging.getLogger(__name__)


@shared_task
def sweep_open_requests() -> None:
    swept = sweep(datetime.now(UTC))
    if swept:
        logger.warning("%d requests were left open by a process that ended; settled as expired", swept)


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
