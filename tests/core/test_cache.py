"""With Redis away signing in goes on, throttled by the database's count."""

from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from accounts.models import Remembered, User
from tests.accounts.conftest import PASSWORD
from tests.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _cache_in_it(own_redis: RedisServer, settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "core.cache.RedisOrDatabaseCache",
            "LOCATION": own_redis.url,
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    }


def guess(client: Client, password: str = "wrong") -> Any:  # noqa: S107
    return client.post("/accounts/login/", {"login": "ada@example.com", "password": password})


def test_with_redis_the_database_counts_nothing(own_redis: RedisServer, client: Client, person: User) -> None:
    guess(client)
    assert not Remembered.objects.exists()


def test_guessing_is_throttled_while_redis_is_away(
    own_redis: RedisServer, client: Client, person: User
) -> None:
    own_redis.stop()
    answers = [guess(client).content.decode() for _ in range(7)]
    assert ["Too many" in answer for answer in answers] == [False] * 5 + [True] * 2
    assert guess(client, PASSWORD).status_code != 302


def test_who_knows_the_password_gets_in_while_redis_is_away(
    own_redis: RedisServer, client: Client, person: User
) -> None:
    own_redis.stop()
    assert guess(client, PASSWORD).status_code == 302


def test_redis_counts_again_when_it_is_back(own_redis: RedisServer, client: Client, person: User) -> None:
    own_redis.stop()
    guess(client)
    counted = Remembered.objects.count()
    own_redis.start()
    caches["default"].set("known", "again", 60)
    assert caches["default"].get("known") == "again"
    guess(client)
    assert Remembered.objects.count() == counted


def test_balancers_do_not_turn_away_for_redis(own_redis: RedisServer, client: Client, db: None) -> None:
    own_redis.stop()
    assert client.get("/readyz").json()["cache"] == "ok"
