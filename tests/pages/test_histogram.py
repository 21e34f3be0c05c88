"""The picture above the request list: its axes in the viewer's zone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from accounts.keys import create_key
from accounts.models import Account
from billing.models import Request
from billing.refusals.models import RefusedCall
from routing.pages.requests.filters import Filters
from routing.pages.requests.histogram import Histogram, histogram

_NOW = datetime(2026, 10, 28, 9, 20, tzinfo=UTC)


def drawn(account: Account, length: timedelta, zone: str = "UTC") -> Histogram:
    picture = histogram(account, Filters(since=_NOW - length, until=_NOW), _NOW, ZoneInfo(zone))
    assert picture is not None
    return picture


def test_days_begin_at_midnight_of_the_zone(account: Account) -> None:
    ticks = drawn(account, timedelta(days=7), "Europe/Berlin").ticks
    assert [tick.text for tick in ticks] == [f"{day} Oct" for day in range(22, 29)]
    assert ticks[-1].x == pytest.approx(100 - 100 * (10 + 20 / 60) / (7 * 24), abs=0.01)


def test_the_last_day_has_a_label_in_a_long_time(account: Account) -> None:
    texts = [tick.text for tick in drawn(account, timedelta(days=30)).ticks]
    assert texts == ["3 Oct", "8 Oct", "13 Oct", "18 Oct", "23 Oct", "28 Oct"]


@pytest.mark.parametrize(
    ("length", "last"),
    [
        (timedelta(minutes=15), "09:20"),
        (timedelta(hours=1), "09:20"),
        (timedelta(hours=24), "06:00"),
    ],
)
def test_shorter_times_have_labels_by_the_clock(account: Account, length: timedelta, last: str) -> None:
    ticks = drawn(account, length).ticks
    assert 2 <= len(ticks) <= 8
    assert ticks[-1].text == last


def test_refused_calls_of_its_time_are_counted_apart(account: Account) -> None:
    key, _ = create_key(account, "refused")
    for hours in (1, 2, 24 * 8):
        RefusedCall.objects.create(
            account=account, key=key, request_id=f"req_{hours}", at=_NOW - timedelta(hours=hours),
            door="native", method="POST", path="/api/v1/chat", status=400, code="validation_error",
            message="No such field.", count=2,
        )  # fmt: skip
    picture = drawn(account, timedelta(days=7))
    assert (picture.total, picture.refused) == (0, 4)


def test_the_axis_reaches_to_a_round_number(account: Account, make_request: Callable[..., Request]) -> None:
    for number in range(13):
        make_request(number, created_at=_NOW - timedelta(hours=2))
    picture = drawn(account, timedelta(days=7))
    assert (picture.top, picture.middle) == (20, 10)
    assert max(bar.height for bar in picture.bars) == 65
