"""A report is the ledger: rollups and what is read beside them come to what its rows come to, always."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Request
from billing.prices.book import SINCE_EVER, ListedPrice, add_prices
from billing.prices.repricing import reprice, undo
from billing.reports.measures import DIMENSIONS, of_ledger
from billing.reports.models import AccountHour, HourUsage
from billing.reports.queries import Sources
from billing.reports.rollup import GRACE, HOUR, mark_stale, roll_up, rolled_until
from billing.reports.summary import merged, summarise
from billing.usage import Usage
from tests.billing.bookkeeping import Books

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = START + 6 * HOUR
MINUTE = timedelta(minutes=1)
SOME = Usage(uncached_input_tokens=1234, cache_read_tokens=7, output_tokens=89)


def priced(model: str, usd: str) -> None:
    add_prices(
        [
            ListedPrice(
                model,
                SINCE_EVER,
                None,
                ((0, {"uncached_input": Decimal(usd), "output": Decimal(usd)}),),
                f"at {usd}",
            )
        ]
    )


def ledger(books: Books, since: datetime, until: datetime) -> Any:
    rows = Request.objects.filter(account=books.account, created_at__gte=since, created_at__lt=until)
    return of_ledger(rows, *DIMENSIONS)


def report(books: Books, since: datetime, until: datetime) -> Any:
    return Sources.now(books.account.pk, since, until).sums(since, until, *DIMENSIONS)


@pytest.fixture
def books(db: None) -> Books:
    priced("m", "1.000001")
    return Books()


def test_an_hour_is_rolled_up_when_it_is_closed(books: Books) -> None:
    books.settled(START + MINUTE, ("m", SOME))
    assert roll_up(START + HOUR + GRACE - MINUTE) == 0
    assert roll_up(START + HOUR + GRACE) == 1
    assert rolled_until() == START + HOUR
    (line,) = HourUsage.objects.filter(of__account=books.account)
    assert (line.requests, line.uncached_input_tokens, line.served_model) == (1, 1234, "m")
    assert line.cost_nano == Request.objects.get(account=books.account).cost_usd.scaleb(9)  # type: ignore[union-attr]


def test_twice_is_as_once(books: Books) -> None:
    books.settled(START, ("m", SOME))
    assert roll_up(LATER) == 1
    before = list(HourUsage.objects.values())
    assert roll_up(LATER) == 0
    assert list(HourUsage.objects.values()) == before


def test_an_hour_with_an_open_request_waits_and_is_read_from_the_ledger(books: Books) -> None:
    books.settled(START, ("m", SOME))
    row = books.opened(START + MINUTE)
    assert roll_up(LATER) == 0
    assert report(books, START, LATER) == ledger(books, START, LATER)
    Request.objects.filter(pk=row.pk).update(status="expired", settled_at=LATER, cost_usd=0, held_usd=0)
    assert report(books, START, LATER) == ledger(books, START, LATER)
    assert roll_up(LATER) == 1
    assert report(books, START, LATER) == ledger(books, START, LATER)


def test_a_row_that_came_too_late_is_found(books: Books) -> None:
    books.settled(START, ("m", SOME))
    roll_up(START + HOUR + GRACE)
    books.settled(START + MINUTE, ("m", SOME))
    roll_up(START + 2 * HOUR + GRACE)
    assert report(books, START, LATER) == ledger(books, START, LATER)


def test_a_repricing_shows_before_and_after_the_next_rollup(books: Books) -> None:
    books.settled(START, ("m", SOME))
    roll_up(LATER)
    was = report(books, START, LATER)
    priced("m", "3")
    batch = reprice("m", START, LATER, reason="wrong", by="tests", now=LATER)
    assert report(books, START, LATER) == ledger(books, START, LATER) != was
    assert roll_up(LATER) == 1
    assert report(books, START, LATER) == ledger(books, START, LATER)
    undo(batch, by="tests", now=LATER)
    assert report(books, START, LATER) == was


def test_a_marked_hour_that_is_not_closed_is_not_rolled_up(books: Books) -> None:
    books.settled(START - HOUR, ("m", SOME))
    books.settled(START, ("m", SOME))
    with transaction.atomic():
        mark_stale([(books.account.pk, START)])
    assert roll_up(START + MINUTE + GRACE) == 1
    assert AccountHour.objects.get(account=books.account, hour=START).stale


def test_a_report_may_begin_and_end_within_an_hour(books: Books) -> None:
    for minute in range(0, 240, 20):
        books.settled(START + minute * MINUTE, ("m", SOME))
    roll_up(LATER)
    for since, until in ((30, 150), (0, 61), (5, 15), (61, 119), (120, 180)):
        span = (START + since * MINUTE, START + until * MINUTE)
        assert report(books, *span) == ledger(books, *span)


def test_days_of_utc_are_the_ledgers_too(books: Books) -> None:
    for hours in range(0, 60, 7):
        books.settled(START + hours * HOUR, ("m", SOME))
    since, until = START + 30 * MINUTE, START + 59 * HOUR
    wanted = Counter(
        (row.created_at.date(), row.served_model)
        for row in Request.objects.filter(account=books.account, created_at__gte=since, created_at__lt=until)
    )
    roll_up(START + 50 * HOUR)  # the rest is read from the ledger
    report = Sources.now(books.account.pk, since, until).sums(since, until, "day", "served_model")
    assert {place: sums.requests for place, sums in report.items()} == wanted
    assert len(wanted) == 3


def test_summaries_of_hours_add_up_to_that_of_the_ledger(books: Books) -> None:
    for minute in range(0, 240, 17):
        row = books.settled(START + minute * MINUTE, ("m", SOME))
        Request.objects.filter(pk=row.pk).update(latency_ms=minute * 31)
    roll_up(LATER)
    whole = summarise(Request.objects.filter(account=books.account))
    summary = Sources.now(books.account.pk, START, LATER).summary(START, LATER)
    assert (summary.parts, summary.latencies, summary.slowest, summary.most_expensive) == (
        merged([whole]).parts,
        whole.latencies,
        whole.slowest,
        whole.most_expensive,
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("settle"), st.integers(0, 359)),
        st.tuples(st.just("open"), st.integers(0, 359)),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("roll"), st.integers(0, 420)),
        st.tuples(st.just("reprice"), st.integers(1, 9)),
        st.tuples(st.just("undo"), st.integers(0, 0)),
    ),
    min_size=3,
    max_size=9,
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, since=st.integers(0, 200), length=st.integers(1, 220))
def test_the_report_is_the_ledger_after_any_sequence(
    db: None, steps: list[tuple[str, int]], since: int, length: int
) -> None:
    with transaction.atomic():
        _after_any_sequence(steps, START + since * MINUTE, START + (since + length) * MINUTE)
        transaction.set_rollback(True)


def _after_any_sequence(steps: list[tuple[str, int]], since: datetime, until: datetime) -> None:
    priced("m", "1.000001")
    books, opened, batches, clock = Books(), [], [], START
    for step, number in steps:
        match step:
            case "settle":
                books.settled(max(START + number * MINUTE, clock), ("m", SOME))
            case "open":
                opened.append(books.opened(max(START + number * MINUTE, clock)))
            case "end" if opened:
                row = opened.pop(number % len(opened))
                ended = {"status": "expired", "settled_at": LATER, "cost_usd": 0}
                Request.objects.filter(pk=row.pk).update(**ended)
            case "roll":
                clock = max(clock, START + number * MINUTE)
                roll_up(clock)
            case "reprice":
                priced("m", f"{number}.7")
                batches.append(reprice("m", START, LATER, reason="any", by="tests", now=LATER + 9 * HOUR))
            case "undo" if batches:
                undo(batches.pop(), by="tests", now=LATER)
        for span in ((START, START + 9 * HOUR), (since, until)):
            assert report(books, *span) == ledger(books, *span)
