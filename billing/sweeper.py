"""Settles what a dead process left open, so that no request stays without an outcome."""

from datetime import datetime
from decimal import Decimal

from billing.models import Request


def sweep(now: datetime) -> int:
    """Expire open requests past their lease; returns how many. Safe to run anywhere, any number of times."""
    return Request.objects.filter(status=Request.Status.OPEN, lease_until__lt=now).update(
        status=Request.Status.EXPIRED,
        settled_at=now,
        held_usd=Decimal(0),
        cost_usd=Decimal(0),
        error_code="internal_error",
        error_message="The process that served this request ended before it could be settled.",
    )
