"""The audit finds each broken promise by its name, and nothing on books that are in order."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F

from accounts.models import Plan
from billing.alerts.models import Alert
from billing.checks.audit import alert_violations, audit, consistent_view, last_audit, store_audit
from billing.checks.invariants import INVARIANTS
from billing.checks.provider_usage import compare
from billing.models import Attempt, IdempotentOutcome, LedgerAudit, Request, WebProcess, Window
from billing.prices.book import SINCE_EVER, ListedPrice, add_prices
from billing.statements.models import Statement
from billing.stripe_meter.models import StripeCustomer, Subscription
from billing.tasks import audit_lately
from billing.usage import Usage
from tests.billing.bookkeeping import Books

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 13, tzinfo=UTC)
USAGE = Usage(uncached_input_tokens=1000, cache_read_tokens=50, output_tokens=100)


@pytest.fixture
def books(db: None) -> Books:
    """One open request and five settled ones: plain, fallen back, in two parts, free, without a price."""
    for model, usd in (("m", "1"), ("free", "0")):
        prices = {"uncached_input": Decimal(usd), "output": Decimal(usd)}
        add_prices([ListedPrice(model, SINCE_EVER, None, ((0, prices),), "tests")])
    books = Books("Asia/Kolkata")
    books.settled(NOON, ("m", USAGE))
    books.settled(NOON, ("m", USAGE), failed=("m", USAGE))
    books.settled(NOON, ("m", USAGE), ("m", USAGE))
    books.settled(NOON, ("free", USAGE))
    books.settled(NOON, ("unlisted", USAGE))
    books.opened(NOON + timedelta(minutes=59))
    return books


def broken(books: Books, since: datetime | None = None) -> set[str]:
    checks = audit(NOW, since, books.account.pk).checks
    return {check.name for check in checks if check.violations}


def test_books_in_order_break_no_promise(books: Books) -> None:
    result = audit(NOW, account_id=books.account.pk)
    assert result.violations == 0
    assert [check.name for check in result.checks] == [invariant.name for invariant in INVARIANTS]
    assert (result.figures["accepted"], result.figures["settled"], result.figures["open"]) == (6, 5, 1)
    assert result.figures["unpriced"] == 1


def _of(books: Books) -> Any:
    return Request.objects.filter(account=books.account).order_by("pk")


def _charged(books: Books) -> Any:
    return Attempt.objects.filter(request__account=books.account, charged=True, model="m")


def _windows(books: Books, scope: str) -> Any:
    pk = books.account.pk if scope == "account" else books.key.pk
    return Window.objects.filter(scope=scope, scope_id=pk)


def _expired_by_a_living_process(books: Books) -> WebProcess:
    _of(books).filter(pk=_of(books)[0].pk).update(status="expired")
    return WebProcess.objects.create(pk="tests", host="h", pid=1, started_at=NOON, seen_at=NOW)


def _stated(books: Books, **columns: Any) -> Statement:
    """Of the day of all requests, without one of them."""
    starts_at = columns.pop("starts_at", NOON - timedelta(hours=1))
    defaults = {
        "time_zone": "UTC",
        "ends_at": NOW,
        "made_at": NOW,
        "requests": 0,
        "usage_usd": 0,
        "total_usd": 0,
    }
    number = f"{starts_at:%H} of {books.account.pk}"
    return Statement.objects.create(
        account=books.account, number=number, starts_at=starts_at, **defaults | columns
    )


FAULTS: dict[str, Callable[[Books], object]] = {
    "accepted_is_settled_plus_open": lambda books: _of(books).filter(status="open").update(settled_at=NOW),
    "open_within_lease": lambda books: _of(books).filter(status="open").update(lease_until=NOON),
    "expired_was_left": lambda books: _expired_by_a_living_process(books),
    "open_has_no_attempts": lambda books: Attempt.objects.filter(pk=_charged(books)[0].pk).update(
        request=_of(books).get(status="open")
    ),
    "attempts_numbered": lambda books: _charged(books).filter(number=2).update(number=3),
    "cost_is_attempts": lambda books: (
        _of(books).filter(pk=_of(books)[0].pk).update(cost_usd=Decimal("0.000000001"))
    ),
    "tokens_are_attempts": lambda books: _of(books).filter(pk=_of(books)[0].pk).update(output_tokens=101),
    "tokens_cost_their_price": lambda books: _charged(books).filter(number=1).update(cost_usd=0),
    "content_has_tokens": lambda books: (
        _charged(books).filter(number=1).update(ttft_ms=5, uncached_input_tokens=0, output_tokens=0)
    ),
    "tokens_within_request": lambda books: _charged(books).filter(number=1).update(most_output_tokens=99),
    "settled_holds_nothing": lambda books: (
        _of(books).filter(pk=_of(books)[0].pk).update(held_usd=Decimal("1e-9"))
    ),
    "unpriced_is_held": lambda books: _of(books).filter(unpriced=True).update(held_usd=0),
    "kept_outcomes_are_settled": lambda books: IdempotentOutcome.objects.create(
        account=books.account,
        key="k",
        request_id=_of(books).get(status="open").pk,
        lease_until=NOW,
        created_at=NOON,
        expires_at=NOW,
        status=200,
    ),
    "account_windows_add_up": lambda books: (
        _windows(books, "account").filter(period="day").update(spent_usd=F("spent_usd") + Decimal("1e-9"))
    ),
    "key_windows_add_up": lambda books: _windows(books, "key").filter(period="month").update(held_tokens=7),
    "statements_add_up": lambda books: _stated(books, usage_usd=1, total_usd=2),
    "statements_follow_each_other": lambda books: (_stated(books), _stated(books, starts_at=NOON)),
    "statements_are_the_ledger": lambda books: _stated(books),
    "stripe_is_told_no_more_than_used": lambda books: Subscription.objects.create(
        customer=StripeCustomer.objects.create(account=books.account, customer_id="cus_1"),
        subscription_id="sub_1",
        since=NOON + timedelta(minutes=1),
    ).events.create(identifier="e", micro_usd=1, used_at=NOW),
    "requests_are_in_windows": lambda books: _windows(books, "key").filter(period="day").delete(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_promise_is_found_by_its_name(books: Books, name: str) -> None:
    assert FAULTS[name](books), "the fault touches a row"
    assert name in broken(books)


def test_every_promise_but_what_the_database_itself_keeps_is_broken_once_above() -> None:
    assert {invariant.name for invariant in INVARIANTS} - set(FAULTS) == {"settled_has_time"}


@pytest.mark.parametrize("column", ["requests", "spent_usd", "held_usd", "spent_tokens", "held_tokens"])
def test_each_figure_of_a_window_is_added_up(books: Books, column: str) -> None:
    _windows(books, "account").filter(period="day").update(**{column: F(column) + 1})
    assert broken(books) == {"account_windows_add_up"}


def test_input_beyond_the_request_is_broken_too(books: Books) -> None:
    _charged(books).filter(number=1).update(most_input_tokens=1049)
    assert broken(books) == {"tokens_within_request"}


def test_what_is_broken_is_counted_and_the_first_rows_are_named(books: Books) -> None:
    _of(books).exclude(status="open").update(held_tokens=1)
    checks = audit(NOW, account_id=books.account.pk).checks
    first = next(check for check in checks if check.name == "settled_holds_nothing")
    pks = list(_of(books).exclude(status="open").values_list("pk", flat=True))
    assert (first.violations, list(first.first)) == (5, pks)


def test_money_is_added_up_exactly(books: Books) -> None:
    """SQLite's own sum of these is off by more than a billionth of a USD."""
    first = _of(books).get(status="open")
    Request.objects.filter(pk=first.pk).update(held_usd=0, held_tokens=0)
    rows = []
    for number in range(3000):
        row = Request.objects.get(pk=first.pk)
        row.pk, row.status, row.settled_at = f"{first.pk}-{number}", "succeeded", NOON
        row.cost_usd = Decimal(number) * Decimal("1.1") + Decimal("0.000000001")
        rows.append(row)
    Request.objects.bulk_create(rows)
    exact = sum((row.cost_usd or 0 for row in _of(books)), Decimal(0))
    _windows(books, "account").delete()
    books.opened(NOON)
    assert [window.spent_usd for window in _windows(books, "account")] == [exact] * 2
    assert "account_windows_add_up" not in broken(books)
    assert audit(NOW, account_id=books.account.pk).figures["spent_usd"] == f"{exact:f}"


def test_a_free_models_tokens_cost_nothing_and_that_is_no_fault(books: Books) -> None:
    free = Attempt.objects.get(request__account=books.account, model="free")
    assert (free.cost_usd, broken(books)) == (0, set())


def test_since_bounds_what_is_looked_at(books: Books) -> None:
    _of(books).exclude(status="open").update(output_tokens=7)
    assert "tokens_are_attempts" in broken(books, NOON)
    assert broken(books, NOON + timedelta(minutes=1)) == {"account_windows_add_up", "key_windows_add_up"}
    assert broken(books, NOON + timedelta(days=2)) == set()


def test_the_command_fails_when_a_promise_is_broken(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    account = str(books.account.pk)
    call_command("audit", "--account", account)
    assert "holds" in capsys.readouterr().out
    _of(books).filter(unpriced=True).update(held_usd=0)
    with pytest.raises(CommandError) as refused:
        call_command("audit", "--account", account, "--json")
    assert refused.value.returncode == 1
    output = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in output["checks"] if check["violations"]] == [
        "unpriced_is_held",
        "account_windows_add_up",
        "key_windows_add_up",
    ]


def test_the_last_result_is_kept_and_those_of_long_ago_are_not(books: Books) -> None:
    LedgerAudit.objects.create(at=NOW - timedelta(days=91), took_ms=1, result={})
    stored = store_audit(audit(NOW, account_id=books.account.pk))
    assert last_audit() == stored
    assert stored.result["figures"]["accepted"] == 6
    assert LedgerAudit.objects.filter(at__lt=NOW).count() == 0


def test_the_job_keeps_its_result_and_alerts_the_operator_once(books: Books) -> None:
    _of(books).filter(status="open").update(created_at=datetime.now(UTC), lease_until=NOON)
    audit_lately()
    audit_lately()
    stored = last_audit()
    assert stored is not None
    assert stored.violations
    (alert,) = Alert.objects.filter(kind="invariant.open_within_lease")
    assert (alert.severity, alert.account, alert.detail["violations"]) == ("critical", None, 1)


def test_an_alert_is_taken_back_by_a_whole_audit_only(books: Books) -> None:
    def is_open() -> bool:
        return Alert.objects.filter(once_key="invariant.unpriced_is_held", resolved_at=None).exists()

    held = _of(books).get(unpriced=True).held_usd
    _of(books).filter(unpriced=True).update(held_usd=0)
    alert_violations(audit(NOW, account_id=books.account.pk))
    assert is_open()
    _of(books).filter(unpriced=True).update(held_usd=held)
    alert_violations(audit(NOW, NOW, books.account.pk))
    assert is_open(), "what was not looked at may be broken still"
    alert_violations(audit(NOW, account_id=books.account.pk))
    assert not is_open()


def test_a_providers_report_is_compared_model_by_model(books: Books, tmp_path: Path) -> None:
    tokens = USAGE.total_tokens
    ours = {"m": 5 * tokens, "free": tokens, "unlisted": tokens}  # the failed attempt was served too
    (same,) = compare({"books": ours}, NOON)
    assert (same.off_by, same.by_model) == (0, {})
    (off,) = compare({"books": {**ours, "free": 0}}, NOON)
    assert off.by_model == {"free": (tokens, 0)}
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"books": ours}))
    arguments = [
        "--account",
        str(books.account.pk),
        "--since",
        NOON.isoformat(),
        "--provider-report",
        str(report),
    ]
    call_command("audit", *arguments)
    report.write_text(json.dumps({"books": {**ours, "m": 4 * tokens}}))
    with pytest.raises(CommandError):
        call_command("audit", *arguments)
    call_command("audit", *arguments, "--tolerance", "0.2")


def test_what_was_served_is_what_we_counted(http: httpx.Client, simulator: Any) -> None:
    began = datetime.now(UTC)
    simulator.fault(provider="openai", kind="status", status=500, count=1)
    body = {"messages": [{"role": "user", "content": "Say hello."}], "stream": False}
    for model in ("gpt-6-luna", "claude-haiku-5-5", "gemini-3.5-flash-lite", None):
        answer = http.post("/api/v1/chat", json=body | ({"model": model} if model else {}))
        assert answer.status_code == 200, answer.text
    served: dict[str, dict[str, int]] = {}
    for call in simulator.calls():
        models, usage = served.setdefault(call["provider"], {}), call["usage"]
        models[call["model"]] = models.get(call["model"], 0) + _tokens(usage)
    assert set(served) == {"openai", "anthropic", "google"}
    for usage in compare(served, began):
        assert usage.counted > 0
        assert usage.by_model == {}


def _tokens(usage: dict[str, int]) -> int:
    return usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.usefixtures("live_db")
def test_an_audit_reads_one_snapshot_and_blocks_no_writer() -> None:
    title = "before"
    Plan.objects.update_or_create(name="seen", defaults={"title": title})

    def write() -> None:
        Plan.objects.filter(name="seen").update(title="after")
        connection.close()

    with consistent_view():
        assert Plan.objects.get(name="seen").title == title
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive(), "the writer does not wait"
        assert Plan.objects.get(name="seen").title == title
    assert Plan.objects.get(name="seen").title == "after"
