"""People, their accounts and browsers."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
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


def confirmed(email: str) -> User:
    """A person with an account, who has confirmed their address."""
    user = User.objects.create_user(email, PASSWORD)
    open_account(user, "unlimited")
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


@pytest.fixture
def person(db: None) -> User:
    return confirmed("ada@example.com")


@pytest.fixture
def stranger(db: None) -> User:
    return confirmed("eve@example.com")


@pytest.fixture
def browser(person: User) -> Client:
    """The person's browser, signed in."""
    client = Client()
    client.force_login(person)
    return client
