"""A request for a dashboard page: its account, the viewer's time zone, whether HTMX wants only a part."""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from accounts.access import current_person
from accounts.models import Account

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails


class PageRequest(HttpRequest):
    """A request behind `account_required`."""

    account: Account
    htmx: "HtmxDetails"


def is_fragment(request: PageRequest) -> bool:
    """HTMX asks for a part; when it restores a page from history it wants all of it."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def viewer_zone(request: PageRequest) -> ZoneInfo:
    """The zone the signed-in person chose for times on pages."""
    return ZoneInfo(current_person(request).time_zone)
