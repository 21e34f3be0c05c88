"""Celery task of statements: make those that are due."""

import logging
from datetime import UTC, datetime

from celery import shared_task

from billing.statements.generation import generate_statements

logger = logging.getLogger(__name__)


@shared_task
def make_due_statements() -> None:
    made = generate_statements(datetime.now(UTC))
    if made:
        logger.info("made %d statements", made)
