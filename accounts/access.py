"""Access control of the pages: which person may see and change which account.

Objects of another account are a 404 everywhere: views look objects up through `current_account(request)`,
never by id alone.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import Account, Member, User
from accounts.registration import open_account

Page = TypeVar("Page", bound=Callable[..., HttpResponseBase])
_CHOSEN = "account"  # in the session
_MOST_ACCOUNTS = 100  # of one person
_MAY_CHANGE = (Member.Role.OWNER, Member.Role.ADMIN)


def current_account(request: HttpRequest) -> Account:
    """The signed-in person's account; one is opened for a person who has none, such as a superuser."""
    return _membership(request).account


def current_person(request: HttpRequest) -> User:
    """The signed-in person, for pages behind `account_required`."""
    assert isinstance(request.user, User)
    return request.user


def current_member(request: HttpRequest) -> Member:
    """The signed-in person's membership in the current account."""
    return _membership(request)


def choose_account(request: HttpRequest, account_id: int) -> None:
    """Switch to another account of the person; an id of a foreign account has no effect."""
    request.session[_CHOSEN] = account_id


def may_change(request: HttpRequest) -> bool:
    """Return True if the person may change the account and not only view it."""
    return _membership(request).role in _MAY_CHANGE


def account_required(page: Page) -> Page:
    """For pages of members; others are sent to sign in. Sets `request.account`."""

    @wraps(page)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _sign_in(request)
        request.account = current_account(request)  # type: ignore[attr-defined]
        return page(request, *args, **kwargs)

    return cast(Page, guarded)


def change_required(page: Page) -> Page:
    """For pages that change the account: viewers get a 403."""

    @account_required
    @wraps(page)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_change(request):
            raise PermissionDenied("Viewers can look at this account but not change it.")
        return page(request, *args, **kwargs)

    return cast(Page, guarded)


def staff_required(page: Page) -> Page:
    """For the operator's pages: to everyone else they do not exist."""

    @wraps(page)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not (request.user.is_authenticated and request.user.is_staff):
            raise Http404
        return account_required(page)(request, *args, **kwargs)

    return cast(Page, guarded)


def _sign_in(request: Any) -> HttpResponse:
    """Send the person to sign in and from there back to the page they were on.

    HTMX gets a header: it would follow a redirect and put the sign-in page into a part of this one.
    """
    url = redirect_to_login(_page_of(request)).url
    if request.htmx and not request.htmx.history_restore_request:
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def _page_of(request: Any) -> str:
    """The path of the whole page that the request comes from; a part or a form has no page of its own."""
    if request.method in ("GET", "HEAD") and not request.htmx:
        return str(request.get_full_path())
    came_from = request.headers.get("HX-Current-URL" if request.htmx else "Referer", "")
    if not url_has_allowed_host_and_scheme(came_from, {request.get_host()}, request.is_secure()):
        return reverse("home")
    return urlsplit(came_from)._replace(scheme="", netloc="").geturl() or reverse("home")


def _membership(request: Any) -> Member:
    known: Member | None = getattr(request, "_membership", None)
    if known is None:
        known = _chosen_membership(request)
        if known is None:
            with transaction.atomic():
                User.objects.select_for_update().get(pk=request.user.pk)  # two pages may be requested at once
                if _first_membership(request.user) is None:
                    open_account(request.user, settings.SIGNUP_PLAN)
            known = _first_membership(request.user)
        request._membership = known
    assert known is not None
    return known


def _chosen_membership(request: Any) -> Member | None:
    """The chosen membership, else the first.

    Read at each request, so a removed member loses access at once.
    """
    chosen = request.session.get(_CHOSEN)
    memberships = list(_memberships(request.user)[:_MOST_ACCOUNTS])
    for member in memberships:
        member.account.is_one_of_several = len(memberships) > 1  # the sidebar offers the others
    first = memberships[0] if memberships else None
    return next((member for member in memberships if member.account_id == chosen), first)


def _first_membership(user: User) -> Member | None:
    return _memberships(user).first()


def _memberships(user: User) -> QuerySet[Member]:
    return Member.objects.select_related("account__plan").filter(user=user).order_by("pk")
