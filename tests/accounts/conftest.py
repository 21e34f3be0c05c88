"""People, their accounts and browsers."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts import caller_lookup as callers
from accounts.models import User
from accounts.registration import open_account

PASSWORD = "correct-horse-9"


@pytest.fixture(autouse=True)
def _nothing_remembered(settings: Any) -> Iterator[None]:
    callers.forget_all_callers()
    if settings.REDIS_URL:
        cache.clear()  # the throttles' counts; in the database they end with the test's transaction
    yield
    callers.close_connections()


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
def browser(person: User) -> Client:
    """The person's browser, signed in."""
    client = Client()
    client.force_login(person)
    return client
