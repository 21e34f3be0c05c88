"""The pictures' geometry and the cursor: nothing outside the frame, nothing lost on the way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing.models import Attempt, Request
from routing.pages.request_detail.scatter import HEIGHT, WIDTH, Point, frontier, scatter
from routing.pages.request_detail.timeline import WIDTH as TIME_WIDTH
from routing.pages.request_detail.timeline import timeline
from routing.pages.requests.paging import Cursor

NOW = datetime(2026, 11, 23, tzinfo=UTC)
shares = st.floats(0, 1)
points = st.lists(
    st.builds(
        lambda number, usd, p, low, high: Point(f"arm-{number}", usd, p, min(low, p), max(high, p)),
        number=st.integers(0, 10_000),
        usd=st.one_of(st.just(0.0), st.floats(1e-9, 100)),
        p=shares,
        low=shares,
        high=shares,
    ),
    min_size=2,
    max_size=40,
    unique_by=lambda point: point.name,
)


@given(points)
def test_every_mark_is_inside_the_picture(some: list[Point]) -> None:
    picture = scatter(some)
    assert picture is not None
    for mark in picture.marks:
        assert 0 <= mark.x <= WIDTH
        assert 0 <= mark.high_y <= mark.y <= mark.low_y <= HEIGHT
        assert mark.label or not mark.point.chosen


@given(points)
def test_no_other_point_beats_the_frontier(some: list[Point]) -> None:
    edge = frontier(some)
    assert edge
    for point in some:
        beaten = any(
            other.usd <= point.usd and other.p >= point.p and (other.usd, other.p) != (point.usd, point.p)
            for other in some
        )
        if point in edge:
            assert not beaten
        else:
            assert beaten or any((point.usd, point.p) == (other.usd, other.p) for other in edge)


@given(points, st.integers(0, 39))
def test_what_is_above_the_chosen_candidate_beats_it(some: list[Point], number: int) -> None:
    chosen = replace(some[number % len(some)], chosen=True)
    some[number % len(some)] = chosen
    picture = scatter(some)
    assert picture is not None
    above = picture.above_chosen
    assert (above is None) == (chosen in frontier(some))
    if above is not None:
        assert above.usd <= chosen.usd
        assert above.p >= chosen.p


def test_a_point_is_labelled_by_what_people_read() -> None:
    points = [Point("a@low", 1, 0.5, 0.4, 0.6, chosen=True, text="A · low"), Point("b", 2, 0.4, 0.3, 0.5)]
    picture = scatter(points)
    assert picture is not None
    assert [mark.label for mark in picture.marks] == ["", "A · low"]


@given(points)
def test_dearer_is_further_right_and_better_is_higher(some: list[Point]) -> None:
    picture = scatter(some)
    assert picture is not None
    by_cost = sorted(picture.marks, key=lambda mark: mark.point.usd)
    assert all(mark.x <= other.x for mark, other in pairwise(by_cost))
    by_success = sorted(picture.marks, key=lambda mark: mark.point.p)
    assert all(mark.y >= other.y for mark, other in pairwise(by_success))


def test_one_candidate_is_no_picture() -> None:
    assert scatter([Point("a", 1, 0.5, 0.4, 0.6)]) is None


def attempt(number: int, start_ms: int, latency_ms: int, ttft_ms: int | None) -> Attempt:
    started = NOW + timedelta(milliseconds=start_ms)
    return Attempt(number=number, model="m", started_at=started, latency_ms=latency_ms, ttft_ms=ttft_ms)


@given(
    st.lists(
        st.tuples(st.integers(-50, 200_000), st.integers(0, 200_000), st.none() | st.integers(0, 200_000)),
        min_size=1,
        max_size=4,
    )
)
def test_bars_stay_inside_the_timeline(times: list[tuple[int, int, int | None]]) -> None:
    rows = [attempt(number, *time) for number, time in enumerate(times, 1)]
    picture = timeline(Request(created_at=NOW, latency_ms=None), rows)
    assert picture is not None
    assert 1 <= len(picture.ticks) <= 9
    for bar in picture.bars:
        assert 0 <= bar.x <= TIME_WIDTH
        assert bar.x + bar.width <= TIME_WIDTH + 2.1


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.text("abc019_", min_size=1),
)
def test_a_cursor_survives_the_url(moment: datetime, row_id: str) -> None:
    cursor = Cursor(moment, row_id[:40])
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text())
def test_no_text_breaks_the_cursor(text: str) -> None:
    assert Cursor.parse(text) is None or isinstance(Cursor.parse(text), Cursor)
