"""People, their accounts and browsers."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from accounts import callers
from accounts.models import Account, User
from accounts.opening import open_account

PASSWORD = "correct-horse-9"

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    callers.forget_all()
    cache.clear()  # the throttles' counts
    yield
    callers.close()


@pytest.fixture
def person(db: None) -> User:
    user = User.objects.create_user("ada@example.com", PASSWORD)
    open_account(user, "unlimited")
    return user


@pytest.fixture
def stranger(db: None) -> User:
    user = User.objects.create_user("eve@example.com", PASSWORD)
    open_account(user, "unlimited")
    return user


@pytest.fixture
def account_of() -> Callable[[User], Account]:
    return lambda user: user.accounts.get()


@pytest.fixture
def browser(person: User) -> Client:
    """The person's browser, signed in."""
    client = Client()
    client.force_login(person)
    return client
