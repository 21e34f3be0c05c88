"""Availability by hour: attempts are counted once however often the job runs, and for 90 days."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.models import Attempt
from routing.catalog.availability import KEEP, by_day, model_days, provider_hours, roll_up
from routing.catalog.models import AvailabilityHour
from tests.pages.conftest import MakeRequest

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
MODEL = "gpt-4o-mini"


@pytest.fixture
def attempt(make_request: MakeRequest):  # type: ignore[no-untyped-def]
    numbers = iter(range(1, 1000))

    def write(at: datetime, **columns: object) -> None:
        number = next(numbers)
        Attempt.objects.create(
            **{"request": make_request(number), "number": 1, "model": MODEL, "provider": "openai",
               "outcome": "ok", "started_at": at, "latency_ms": 5} | columns
        )  # fmt: skip

    return write


class TestRollUp:
    def test_it_counts_each_attempt_once(self, attempt) -> None:  # type: ignore[no-untyped-def]
        for minutes in (5, 65, 70):
            attempt(NOW - timedelta(minutes=minutes))
        attempt(NOW - timedelta(minutes=66), outcome="failed", error_kind="status")
        attempt(NOW - timedelta(minutes=67), outcome="failed", error_kind="bad_request")  # the caller's
        attempt(NOW - timedelta(minutes=68), outcome="aborted")
        for _ in range(2):
            roll_up(NOW)
        (uptime,) = provider_hours(["openai"], NOW)
        last, before = uptime.blocks[-1], uptime.blocks[-2]
        assert (last.attempts, last.failed, last.tone) == (1, 0, "healthy")
        assert (before.attempts, before.failed, before.tone) == (3, 1, "degraded")
        assert (by_day(uptime).blocks[-1].attempts, len(by_day(uptime).blocks)) == (4, 7)
        assert uptime.blocks[0].tone == "none"

    def test_an_attempt_that_is_written_late_is_counted(self, attempt) -> None:  # type: ignore[no-untyped-def]
        attempt(NOW)
        roll_up(NOW)
        attempt(NOW - timedelta(minutes=50))
        roll_up(NOW + timedelta(minutes=5))
        assert model_days(MODEL, NOW).total.attempts == 2

    def test_runs_between_count_only_the_newest_hour(self, attempt) -> None:  # type: ignore[no-untyped-def]
        attempt(NOW)
        roll_up(NOW)
        attempt(NOW + timedelta(seconds=50))
        attempt(NOW - timedelta(minutes=50))
        roll_up(NOW + timedelta(minutes=1))
        assert model_days(MODEL, NOW).total.attempts == 2
        roll_up(NOW + timedelta(minutes=5))
        assert model_days(MODEL, NOW).total.attempts == 3

    def test_old_hours_are_deleted(self, attempt) -> None:  # type: ignore[no-untyped-def]
        attempt(NOW)
        roll_up(NOW)
        attempt(NOW + KEEP + timedelta(hours=1))
        roll_up(NOW + KEEP + timedelta(hours=1))
        assert AvailabilityHour.objects.get().hour > NOW
