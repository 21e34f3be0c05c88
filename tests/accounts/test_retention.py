"""Sessions that ended and counts that are over are forgotten; others go on."""

from datetime import UTC, datetime, timedelta

from django.contrib.sessions.models import Session
from django.core.cache.backends.db import DatabaseCache
from django.test import Client

from accounts.models import Remembered, User
from accounts.tasks import delete_expired

NOW = datetime.now(UTC)


def test_a_session_is_forgotten_when_it_ended(browser: Client, person: User) -> None:
    assert delete_expired(NOW + timedelta(days=13)) == 0
    assert browser.get("/keys/").status_code == 200
    assert delete_expired(NOW + timedelta(days=15)) == 1
    assert not Session.objects.exists()
    assert browser.get("/keys/").status_code == 302


def test_a_count_is_forgotten_when_it_is_over(db: None) -> None:
    cache = DatabaseCache("accounts_remembered", {})
    cache.set("short", 1, 60)
    cache.set("long", 1, 3600)
    assert delete_expired(NOW + timedelta(minutes=10)) == 1
    assert Remembered.objects.get().cache_key.endswith("long")
