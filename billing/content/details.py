"""Erases the details of old requests for accounts that keep them for a limited time.

Sums, tokens, prices and attempts stay, because money depends on them. Gone are the decision's trace, the
caller's metadata, the receipt, error messages and the hash of the prompt.
"""

from datetime import datetime, timedelta

from accounts.models import Account
from billing.models import Attempt, Request

_BATCH = 500  # rows of a transaction
_MARK = {"prompt_hash": ""}  # of rows whose details are erased; requests have one


def erase_old_details(now: datetime) -> int:
    """Erase details older than each account keeps them; returns the number of requests."""
    erased = 0
    for account in Account.objects.exclude(keep_details_days=None):
        assert account.keep_details_days is not None
        erased += erase_details(account, now - timedelta(days=account.keep_details_days))
    return erased


def erase_details(account: Account, before: datetime) -> int:
    """Erase the details of an account's settled requests before a moment; returns their number."""
    old = Request.objects.filter(account=account, created_at__lt=before, settled_at__isnull=False)
    old = old.exclude(**_MARK)
    erased = 0
    while pks := list(old.values_list("pk", flat=True)[:_BATCH]):
        rows = Request.objects.filter(pk__in=pks)
        Attempt.objects.filter(request_id__in=pks).update(error_message="")
        rows.update(trace={}, metadata=None, fidelity=None, error_message="", **_MARK)
        erased += len(pks)
    return erased
