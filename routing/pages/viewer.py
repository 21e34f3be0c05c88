"""Who looks at a page, and how: their zone, and whether the whole page or a part of it is wanted."""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest

from accounts.models import Account

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

_UTC = ZoneInfo("UTC")


class Viewed(HttpRequest):
    """A request of a page after `account_required`."""

    account: Account
    htmx: "HtmxDetails"


def is_fragment(request: Viewed) -> bool:
    """HTMX asks for a part; when it restores a page from history it wants all of it."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def viewer_zone(user: object) -> ZoneInfo:
    try:
        return ZoneInfo(getattr(user, "time_zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        return _UTC
