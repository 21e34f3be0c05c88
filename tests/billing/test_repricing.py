"""Re-pricing is explicit, follows the book of each request's time, and can be taken back exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEntry
from billing.checks.audit import audit
from billing.ledger.windows import AMOUNTS, totals
from billing.models import Attempt, ModelPrice, RepricedAttempt, Repricing, Request, Window
from billing.prices.book import SINCE_EVER, ListedPrice, Tiers, add_prices
from billing.prices.repricing import preview, reprice, undo
from billing.prices.repricing_plan import NotReversible
from billing.usage import Usage
from tests.billing.bookkeeping import Books

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
THOUSAND = Usage(uncached_input_tokens=1000, output_tokens=100)


def listed(model: str, usd: str, start: datetime = SINCE_EVER, tiers: Tiers | None = None) -> None:
    flat = {"uncached_input": Decimal(usd), "output": Decimal(usd)}
    add_prices([ListedPrice(model, start, None, tiers or ((0, flat),), "tests")])


def batch_of(model: str = "m", since: datetime = NOON - DAY, until: datetime = NOON + DAY) -> Repricing:
    return reprice(model, since, until, reason="wrong price", by="tests", now=NOW)


def state(books: Books) -> dict[str, Any]:
    """All that a re-pricing may touch, column by column."""
    requests = Request.objects.filter(account=books.account).order_by("pk")
    return {
        "requests": list(
            requests.values("pk", "cost_usd", "held_usd", "unpriced", "unit_prices", "price_version")
        ),
        "attempts": list(
            Attempt.objects.filter(request__account=books.account)
            .order_by("pk")
            .values("pk", "cost_usd", "unit_prices", "price_version")
        ),
        "windows": [_amounts(window) for window in _windows(books)],
    }


def _windows(books: Books) -> list[Window]:
    return list(totals(Window.objects.filter(_of(books)).order_by("pk")))


def _amounts(window: Window) -> list[Any]:
    return [getattr(window, name) for name in ("pk", *AMOUNTS)]


def _of(books: Books) -> Any:
    return Q(scope="account", scope_id=books.account.pk) | Q(scope="key", scope_id=books.key.pk)


def broken(books: Books) -> list[str]:
    return [check.name for check in audit(NOW, account_id=books.account.pk).checks if check.violations]


def test_a_request_gets_the_price_the_book_has_for_its_time() -> None:
    listed("m", "1")
    books = Books()
    row = books.settled(NOON, ("m", THOUSAND))
    listed("m", "3", NOON - timedelta(hours=1))
    listed("m", "9", NOON + timedelta(milliseconds=500))  # before it was settled, after it was made
    batch = batch_of()
    row.refresh_from_db()
    assert row.cost_usd == Decimal("0.0033")
    assert row.unit_prices["output"] == "3.000000"
    assert (batch.requests, batch.usd_before, batch.usd_after) == (1, Decimal("0.0011"), Decimal("0.0033"))
    assert {window.spent_usd for window in _windows(books)} == {Decimal("0.0033")}
    assert broken(books) == []


def test_each_attempt_is_priced_at_the_tier_of_its_own_input() -> None:
    listed("m", "1")
    books = Books()
    small, large = Usage(uncached_input_tokens=1000), Usage(uncached_input_tokens=3000)
    row = books.settled(NOON, ("m", small), ("m", large))
    dear = {"uncached_input": Decimal(10), "output": Decimal(10)}
    cheap = {"uncached_input": Decimal(2), "output": Decimal(2)}
    listed("m", "0", NOON - DAY, ((0, cheap), (2000, dear)))
    batch_of()
    row.refresh_from_db()
    assert row.cost_usd == Decimal("0.002") + Decimal("0.03")
    assert broken(books) == []


def test_what_was_not_charged_keeps_its_cost() -> None:
    listed("m", "1")
    books = Books()
    row = books.settled(NOON, ("m", THOUSAND), failed=("m", THOUSAND))
    listed("m", "2", NOON - DAY)
    batch_of()
    assert list(row.attempts.order_by("number").values_list("cost_usd", flat=True)) == [
        Decimal("0.0011"),
        Decimal("0.0022"),
    ]


def test_an_unpriced_request_is_priced_and_gives_back_what_it_held() -> None:
    books = Books()
    row = books.settled(NOON, ("m", THOUSAND))
    assert row.unpriced
    assert row.held_usd > 0
    assert {window.held_usd for window in _windows(books)} == {row.held_usd}
    listed("m", "1")
    batch_of()
    row.refresh_from_db()
    assert (row.unpriced, row.cost_usd, row.held_usd) == (False, Decimal("0.0011"), 0)
    assert {window.held_usd for window in _windows(books)} == {0}
    assert broken(books) == []


def test_a_request_stays_unpriced_while_another_of_its_attempts_has_no_price() -> None:
    books = Books()
    row = books.settled(NOON, ("m", THOUSAND), ("other", THOUSAND))
    held = row.held_usd
    listed("m", "1")
    batch_of()
    row.refresh_from_db()
    assert (row.unpriced, row.cost_usd, row.held_usd) == (True, None, held)
    assert broken(books) == []
    listed("other", "1")
    batch_of("other")
    row.refresh_from_db()
    assert (row.cost_usd, row.held_usd) == (Decimal("0.0022"), 0)
    assert broken(books) == []


def test_only_the_named_model_and_span_change() -> None:
    listed("m", "1")
    listed("n", "1")
    books = Books()
    before, inside, other, after = (
        books.settled(NOON - timedelta(seconds=1), ("m", THOUSAND)),
        books.settled(NOON, ("m", THOUSAND)),
        books.settled(NOON, ("n", THOUSAND)),
        books.settled(NOON + DAY, ("m", THOUSAND)),
    )
    listed("m", "2", NOON - DAY)
    listed("n", "2", NOON - DAY)
    batch_of("m", NOON, NOON + DAY)
    costs = [Request.objects.get(pk=row.pk).cost_usd for row in (before, inside, other, after)]
    assert costs == [Decimal("0.0011"), Decimal("0.0022"), Decimal("0.0011"), Decimal("0.0011")]


def test_a_price_that_is_not_known_any_more_is_refused_before_anything_is_written() -> None:
    add_prices(
        [
            ListedPrice(
                "m", SINCE_EVER, None, ((0, {"uncached_input": Decimal(1), "output": Decimal(1)}),), "t"
            )
        ]
    )
    books = Books()
    rows = [books.settled(NOON + timedelta(minutes=minute), ("m", THOUSAND)) for minute in range(3)]
    ModelPrice.objects.filter(model="m").delete()
    was = state(books)
    with pytest.raises(NotReversible, match=rows[0].pk):
        batch_of()
    assert state(books) == was
    assert not Repricing.objects.exists()


def test_batches_over_the_same_attempts_are_undone_in_reverse() -> None:
    listed("m", "1")
    books = Books()
    books.settled(NOON, ("m", THOUSAND))
    was = state(books)
    listed("m", "2", NOON - DAY)
    first = batch_of()
    listed("m", "3", NOON - DAY / 2)
    second = batch_of()
    with pytest.raises(NotReversible, match=f"Undo batch {second.pk} first"):
        undo(first, by="tests", now=NOW)
    undo(second, by="tests", now=NOW)
    undo(first, by="tests", now=NOW)
    assert state(books) == was
    with pytest.raises(NotReversible, match="undone already"):
        undo(first, by="tests", now=NOW)


def test_a_span_that_is_not_over_is_refused() -> None:
    with pytest.raises(NotReversible):
        batch_of(until=NOW + DAY)


def test_a_batch_larger_than_a_transaction_changes_all_and_takes_all_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("billing.prices.repricing.CHUNK", 3)
    listed("m", "1")
    books = Books()
    for minute in range(10):
        books.settled(NOON + timedelta(minutes=minute), ("m", THOUSAND))
    was = state(books)
    listed("m", "2", NOON - DAY)
    batch = batch_of()
    assert batch.requests == 10
    assert broken(books) == []
    undo(batch, by="tests", now=NOW)
    assert state(books) == was


def test_operator_and_accounts_get_audit_log_entries() -> None:
    listed("m", "1")
    books, others = Books(), Books()
    for account_books in (books, others):
        account_books.settled(NOON, ("m", THOUSAND))
    listed("m", "2", NOON - DAY)
    batch = batch_of()
    undo(batch, by="tests", now=NOW)
    entries = AuditEntry.objects.order_by("pk").values_list("account_id", "action", "target")
    assert list(entries) == [
        (account, action, "m")
        for action in ("prices.repriced", "prices.repricing_undone")
        for account in (None, books.account.pk, others.account.pk)
    ]
    entry = AuditEntry.objects.filter(account=books.account).first()
    assert entry is not None
    assert entry.detail["usd_after"] == "0.002200000"


usages = st.builds(
    Usage,
    uncached_input_tokens=st.integers(0, 5000),
    cache_read_tokens=st.integers(0, 5000),
    cache_write_tokens=st.integers(0, 500),
    cache_write_1h_tokens=st.integers(0, 500),
    output_tokens=st.integers(1, 5000),
)
models = st.sampled_from(["m", "n", "unknown"])
requests = st.tuples(st.integers(0, 3 * 24 * 60), st.lists(st.tuples(models, usages), min_size=1, max_size=3))
changes = st.lists(
    st.tuples(models, st.integers(0, 3 * 24 * 60), st.decimals(0, 50, places=3)), min_size=1, max_size=3
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(requests, min_size=1, max_size=5), changes, st.sampled_from(["UTC", "America/New_York"]))
def test_undoing_is_the_identity_and_every_promise_holds_after_each_step(
    spent: list[tuple[int, list[tuple[str, Usage]]]], moved: list[tuple[str, int, Decimal]], zone: str
) -> None:
    with transaction.atomic():
        listed("m", "1.5")
        listed("n", "0.25")
        books = Books(zone)
        begin = NOON - DAY
        for minute, attempts in spent:
            books.settled(begin + timedelta(minutes=minute), *attempts)
        was, batches = state(books), []
        assert broken(books) == []
        for model, minute, usd in moved:
            listed(model, str(usd), begin + timedelta(minutes=minute))
            batches.append(batch_of(model, begin, NOW))
            assert broken(books) == []
        for batch in reversed(batches):
            undo(batch, by="tests", now=NOW)
            assert broken(books) == []
        assert state(books) == was
        transaction.set_rollback(True)


def test_the_command_previews_reprices_and_undoes(capsys: pytest.CaptureFixture[str]) -> None:
    listed("m", "1")
    books = Books()
    books.settled(NOON, ("m", THOUSAND))
    was = state(books)
    listed("m", "2", NOON - DAY)
    span = ["--model", "m", "--since", "2026-11-19", "--until", "2026-11-21T00:00:00+00:00"]
    call_command("reprice", *span, "--dry-run")
    assert "1 requests (1 attempts)" in capsys.readouterr().out
    assert state(books) == was
    call_command("reprice", *span, "--reason", "the list was wrong")
    batch = Repricing.objects.get()
    assert (batch.reason, batch.requests) == ("the list was wrong", 1)
    call_command("reprice", "--undo", str(batch.pk))
    assert state(books) == was
    with pytest.raises(CommandError, match="undone already"):
        call_command("reprice", "--undo", str(batch.pk))
    with pytest.raises(CommandError, match="--reason"):
        call_command("reprice", *span)
    assert RepricedAttempt.objects.count() == 1, "what was is kept"


def test_a_preview_writes_nothing_and_tells_what_would_come() -> None:
    books = Books()
    books.settled(NOON, ("m", THOUSAND))
    listed("m", "1")
    was = state(books)
    totals = preview("m", NOON - DAY, NOON + DAY)
    assert (totals.requests, totals.newly_priced, totals.usd_after) == (1, 1, Decimal("0.0011"))
    assert state(books) == was
