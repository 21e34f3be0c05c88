"""Celery task that generates due statements."""

import logging
from datetime import UTC, datetime

from celery import shared_task

from billing.statements.generation import generate_statements

logger = logging.getLogger(__name__)


@shared_task
def make_due_statements() -> None:
    count = generate_statements(datetime.now(UTC))
    if count:
        logger.info("generated %d statements", count)
