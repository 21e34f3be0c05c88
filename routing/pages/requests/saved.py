"""A person's settings of the request list: named views of an account, and the columns to show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.http import QueryDict
from django.shortcuts import get_object_or_404

from accounts.models import Account, User
from routing.pages.requests.models import MOST_NAME, MOST_QUERY, ChosenColumns, SavedView

MOST_VIEWS = 30  # of a person in an account
COLUMNS = {
    "status": "Status",
    "model": "Model",
    "provider": "Provider",
    "strategy": "Strategy",
    "skill": "Skill",
    "tokens": "Tokens",
    "cost": "Cost",
    "latency": "Latency",
    "ttft": "First token",
    "finish": "Finish reason",
    "key": "Key",
}  # the time is always shown: it is the link to the request
DEFAULT = ("status", "model", "strategy", "skill", "tokens", "cost", "latency", "key")
_OF_A_PAGE = ("view", "before", "after", "live", "csrfmiddlewaretoken")


class CannotSave(Exception):
    """The view cannot be kept; the message is for the person."""


@dataclass(frozen=True)
class Personal:
    """A person's views of an account, the open one, and the columns to show."""

    views: Sequence[SavedView]
    current: SavedView | None
    columns: tuple[str, ...]


def personal(account: Account, user: User, view_id: int) -> Personal:
    """`view_id`: of the URL; one that is not the person's own is ignored."""
    views = list(SavedView.objects.filter(account=account, user=user).order_by("name")[:MOST_VIEWS])
    current = next((each for each in views if each.pk == view_id), None)
    if current is not None:
        return Personal(views, current, known(current.columns))
    chosen = ChosenColumns.objects.filter(user=user).first()
    return Personal(views, None, known(chosen.columns) if chosen else DEFAULT)


def known(names: Iterable[str]) -> tuple[str, ...]:
    """Those that are columns, in the order of the table."""
    wanted = set(names)
    return tuple(name for name in COLUMNS if name in wanted)


def choose_columns(account: Account, user: User, view_id: int, names: Iterable[str]) -> None:
    """Keep the columns: in the open saved_view, or else as the person's own."""
    columns = list(known(names))
    if not SavedView.objects.filter(account=account, user=user, pk=view_id).update(columns=columns):
        ChosenColumns.objects.update_or_create(user=user, defaults={"columns": columns})


def save(account: Account, user: User, name: str, query: str, columns: Sequence[str]) -> SavedView:
    """Keep a saved_view. Raises CannotSave for a name that is empty or taken, and when there are too many."""
    if SavedView.objects.filter(account=account, user=user).count() >= MOST_VIEWS:
        raise CannotSave(f"You have {MOST_VIEWS} saved views: delete one first.")
    query = plain_query(query)
    if len(query) > MOST_QUERY:
        raise CannotSave("These filters are too long to be saved.")
    saved_view = SavedView(account=account, user=user, query=query, columns=list(known(columns)))
    return _named(saved_view, name)


def rename(account: Account, user: User, pk: int, name: str) -> SavedView:
    """Raises CannotSave for a name that is empty or taken, Http404 for another's saved_view."""
    return _named(own(account, user, pk), name)


def remove(account: Account, user: User, pk: int) -> str:
    """Returns the name of the view that is gone. Raises Http404 for another's saved_view."""
    saved_view = own(account, user, pk)
    saved_view.delete()
    return saved_view.name


def own(account: Account, user: User, pk: int) -> SavedView:
    """Raises Http404 for another's saved_view."""
    return get_object_or_404(SavedView, account=account, user=user, pk=pk)


def plain_query(query: str) -> str:
    """A query of the list without its view and page."""
    fields = QueryDict(query, mutable=True)
    for name in [name for name in fields if name in _OF_A_PAGE or not fields[name]]:
        del fields[name]
    return fields.urlencode()


def _named(saved_view: SavedView, name: str) -> SavedView:
    saved_view.name = " ".join(name.split())[:MOST_NAME]
    if not saved_view.name or not saved_view.name.isprintable():
        raise CannotSave("Give the view a name.")
    try:
        with transaction.atomic():
            saved_view.save()
    except IntegrityError:
        raise CannotSave(f"You have a view called {saved_view.name}: choose another name.") from None
    return saved_view
