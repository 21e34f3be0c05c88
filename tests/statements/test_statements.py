"""A statement is the ledger of a month, frozen; what the ledger says later is on the next one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from accounts.models import Account, Member, User
from billing.checks.audit import audit
from billing.models import Repricing, Request
from billing.prices.book import SINCE_EVER, ListedPrice, add_prices
from billing.prices.repricing import reprice, undo
from billing.statements.generation import GRACE, generate_statements
from billing.statements.models import Statement, StatementLine
from billing.statements.months import month_start, months
from billing.statements.queries import statement_detail
from billing.usage import Usage
from core.numbers.formats import exact_money_text, money_text
from tests.billing.bookkeeping import Books

OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER, JANUARY = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Honolulu", "Asia/Kolkata", "Europe/Berlin")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SOME = Usage(uncached_input_tokens=1234, cache_read_tokens=7, output_tokens=89, reasoning_tokens=9)


def priced(model: str, usd: str) -> None:
    prices = {"uncached_input": Decimal(usd), "output": Decimal(usd)}
    add_prices([ListedPrice(model, SINCE_EVER, None, ((0, prices),), f"at {usd}")])


@pytest.fixture
def books(db: None) -> Books:
    priced("m", "1.000001")
    priced("n", "3")
    return Books()


def statements(books: Books) -> list[Statement]:
    return list(Statement.objects.filter(account=books.account).order_by("starts_at"))


def ledger(books: Books, until: datetime) -> Decimal:
    rows = Request.objects.filter(account=books.account, created_at__lt=until)
    return sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0))


def broken(books: Books) -> set[str]:
    checks = audit(JANUARY, None, books.account.pk).checks
    return {check.name for check in checks if check.violations}


class TestOneMonth:
    def test_it_is_made_once_the_month_is_over(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        assert generate_statements(NOVEMBER) == 0
        assert generate_statements(NOVEMBER + GRACE) == 1
        (statement,) = statements(books)
        assert statement.number == f"2026-10-{books.account.pk:06d}"
        assert (statement.starts_at, statement.ends_at, statement.requests) == (OCTOBER, NOVEMBER, 1)
        assert statement.total_usd == statement.usage_usd == ledger(books, NOVEMBER)

    def test_its_lines_say_which_key_and_model_used_what(self, books: Books) -> None:
        for model in ("m", "n", "n"):
            books.settled(OCTOBER + DAY, (model, SOME))
        generate_statements(NOVEMBER + HOUR)
        m, n = StatementLine.objects.filter(statement__account=books.account).order_by("model")
        assert (m.model, m.requests, n.model, n.requests) == ("m", 1, "n", 2)
        assert (n.uncached_input_tokens, n.cache_read_tokens, n.output_tokens) == (2468, 14, 178)
        assert (n.reasoning_tokens, n.key, n.key_name) == (18, books.key, "books")
        assert m.cost_usd + n.cost_usd == statements(books)[0].total_usd

    def test_making_it_again_changes_nothing(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        assert [generate_statements(NOVEMBER + HOUR), generate_statements(NOVEMBER + DAY)] == [1, 0]

    def test_it_waits_for_what_is_open(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        open_ = books.opened(NOVEMBER - HOUR)
        assert generate_statements(NOVEMBER + HOUR) == 0
        Request.objects.filter(pk=open_.pk).delete()
        assert generate_statements(NOVEMBER + HOUR) == 1

    def test_of_a_month_without_requests_there_is_none(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        books.settled(DECEMBER + DAY, ("m", SOME))
        assert generate_statements(JANUARY + HOUR) == 2
        assert [statement.number[:7] for statement in statements(books)] == ["2026-10", "2026-12"]

    def test_it_keeps_the_name_a_key_had(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        books.key.name = "renamed"
        books.key.save()
        assert StatementLine.objects.get(statement__account=books.account).key_name == "books"


class TestCorrections:
    def test_a_price_that_is_corrected_later_is_on_the_next_statement(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        frozen = statements(books)[0].total_usd
        priced("m", "2")
        batch = reprice("m", OCTOBER, NOVEMBER, reason="typo", by="me", now=NOVEMBER + DAY)
        books.settled(NOVEMBER + DAY, ("n", SOME))
        generate_statements(DECEMBER + HOUR)
        october, november = statements(books)
        assert october.total_usd == frozen
        assert november.corrections_usd == batch.usd_after - batch.usd_before > 0
        assert november.lines.get(corrects=october).cost_usd == november.corrections_usd
        assert october.total_usd + november.total_usd == ledger(books, DECEMBER)
        assert broken(books) == set()

    def test_taking_it_back_is_a_correction_too(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        priced("m", "2")
        batch = reprice("m", OCTOBER, NOVEMBER, reason="typo", by="me", now=NOVEMBER + DAY)
        generate_statements(DECEMBER + HOUR)
        undo(batch, by="me", now=DECEMBER + DAY)
        generate_statements(JANUARY + HOUR)
        corrections = [statement.corrections_usd for statement in statements(books)]
        assert corrections[0] == 0
        assert corrections[1] == -corrections[2] > 0
        assert sum(statement.total_usd for statement in statements(books)) == ledger(books, JANUARY)

    def test_what_had_no_price_is_charged_when_it_has_one(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("unknown", SOME))
        generate_statements(NOVEMBER + HOUR)
        (october,) = statements(books)
        assert (october.unpriced, october.total_usd) == (1, 0)
        priced("unknown", "5")
        reprice("unknown", OCTOBER, NOVEMBER, reason="listed now", by="me", now=NOVEMBER + DAY)
        generate_statements(DECEMBER + HOUR)
        assert statements(books)[1].corrections_usd == ledger(books, DECEMBER) > 0


class TestMonths:
    @given(st.lists(st.sampled_from(ZONES), min_size=1, max_size=8))
    def test_they_follow_each_other_whatever_zones_an_account_goes_through(self, zones: list[str]) -> None:
        first, labels = month_start(OCTOBER + 3 * DAY, zones[0]), []
        for zone in zones:
            month = next(iter(months(first, zone, first + 90 * DAY)))
            assert month.starts_at == first
            assert 26 * DAY < month.ends_at - first < 33 * DAY
            assert month.ends_at.astimezone(ZoneInfo(zone)).day == 1
            labels.append(month.label)
            first = month.ends_at
        assert len(set(labels)) == len(labels)

    @pytest.mark.parametrize(
        ("zone", "begin"),
        [
            ("Pacific/Kiritimati", datetime(2026, 9, 30, 10, tzinfo=UTC)),
            ("America/Los_Angeles", datetime(2026, 10, 1, 7, tzinfo=UTC)),
            ("Asia/Kathmandu", datetime(2026, 9, 30, 18, 15, tzinfo=UTC)),
        ],
    )
    def test_a_month_is_the_accounts(self, db: None, zone: str, begin: datetime) -> None:
        priced("m", "1")
        books = Books(zone)
        Account.objects.filter(pk=books.account.pk).update(time_zone=zone)
        books.settled(begin - timedelta(seconds=1), ("m", SOME))
        books.settled(begin, ("m", SOME))
        generate_statements(JANUARY + DAY)
        september, october = statements(books)
        assert (september.requests, september.ends_at) == (1, begin)
        assert (october.requests, october.starts_at) == (1, begin)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 100),
            st.sampled_from(["spend", "price", "reprice", "undo", "make"]),
            st.integers(1, 999),
        ),
        max_size=25,
    )
)
def test_all_statements_together_are_the_ledger(books: Books, steps: list[tuple[int, str, int]]) -> None:
    """Spending, price changes, re-pricing, undoing and statements, in any order."""
    fresh = Books()
    now = OCTOBER
    for days, what, number in sorted(steps, key=lambda step: step[0]):
        now = max(now, OCTOBER + days * DAY)
        if what == "spend":
            fresh.settled(now, ("m", Usage(uncached_input_tokens=number, output_tokens=number % 7)))
        elif what == "price":
            priced("m", f"1.00{number:04d}")
        elif what == "reprice" and now > OCTOBER:
            reprice("m", OCTOBER, now, reason="x", by="me", now=now)
        elif what == "undo" and (batch := Repricing.objects.filter(undone_at=None).order_by("-pk").first()):
            undo(batch, by="me", now=now)
        elif what == "make":
            generate_statements(now)
    generate_statements(now)
    # A correction is on the next statement: one more month, in which something is used, has them all.
    later = now + 40 * DAY
    fresh.settled(later, ("m", SOME))
    generate_statements(later + 40 * DAY)
    billed = Statement.objects.filter(account=fresh.account).aggregate(usd=Sum("total_usd"))["usd"]
    assert round(billed, 9) == ledger(fresh, later + DAY)
    assert broken(fresh) == set()


class TestTheAudit:
    @pytest.fixture(autouse=True)
    def month_with_a_statement(self, books: Books) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        assert broken(books) == set()

    def test_it_finds_a_line_that_was_changed(self, books: Books) -> None:
        StatementLine.objects.filter(statement__account=books.account).update(cost_usd=Decimal("0.5"))
        assert broken(books) == {"statements_add_up"}

    def test_it_finds_a_statement_that_is_not_the_ledger(self, books: Books) -> None:
        wrong = Decimal("0.000000001")
        Statement.objects.filter(account=books.account).update(usage_usd=wrong, total_usd=wrong)
        StatementLine.objects.filter(statement__account=books.account).update(cost_usd=wrong)
        assert broken(books) == {"statements_are_the_ledger"}

    def test_it_finds_two_statements_of_the_same_time(self, books: Books) -> None:
        (statement,) = statements(books)
        statement.pk, statement.number, statement.starts_at = None, "twin", OCTOBER + DAY
        statement.requests, statement.usage_usd, statement.total_usd = 0, Decimal(0), Decimal(0)
        statement.save(force_insert=True)
        assert "statements_follow_each_other" in broken(books)

    def test_a_correction_that_is_to_come_is_in_order(self, books: Books) -> None:
        priced("m", "2")
        reprice("m", OCTOBER, NOVEMBER, reason="typo", by="me", now=NOVEMBER + DAY)
        assert broken(books) == set()

    def test_a_settlement_after_the_statement_is_corrected_on_the_next(self, books: Books) -> None:
        """A process that looked dead settles a request of last month that was swept before the statement."""
        late = books.settled(OCTOBER + 2 * DAY, ("m", SOME))
        assert broken(books) == {"statements_are_the_ledger"}, "it was there before the statement"
        Request.objects.filter(pk=late.pk).update(settled_at=NOVEMBER + 2 * HOUR)
        assert broken(books) == set()
        books.settled(NOVEMBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + 40 * DAY)
        (correction,) = StatementLine.objects.filter(statement__account=books.account).exclude(corrects=None)
        assert correction.cost_usd == Request.objects.get(pk=late.pk).cost_usd
        assert broken(books) == set()


class TestPages:
    @pytest.fixture
    def page(self, books: Books) -> Client:
        user = User.objects.create_user(f"reader{books.account.pk}@statements.example")
        Member.objects.create(account=books.account, user=user)
        client = Client()
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    def test_before_the_first_it_says_when_one_comes(self, page: Client) -> None:
        assert "within an hour after the end of each month" in page.get("/statements/").content.decode()

    def test_the_current_month_stands_above_the_list(self, books: Books, page: Client) -> None:
        books.settled(timezone.now(), ("m", SOME))
        row = Request.objects.filter(account=books.account).get()
        text = page.get("/statements/").content.decode()
        assert "1 request since 1 " in text
        assert f'value="{exact_money_text(row.cost_usd)}"' in text
        assert "This month in Usage" in text

    def test_the_list_and_one(self, books: Books, page: Client) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        (statement,) = statements(books)
        text = page.get("/statements/").content.decode()
        assert statement.number in text
        assert "October 2026" in text
        text = page.get(f"/statements/{statement.number}/").content.decode()
        assert str(statement.total_usd) in text
        assert "books" in text

    def test_as_csv_and_json(self, books: Books, page: Client) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        (statement,) = statements(books)
        _, row = page.get(f"/statements/{statement.number}.csv").content.decode().splitlines()
        assert row == f"{statement.number},usage,books,books,m,,1,0,1234,7,0,0,89,9,{statement.total_usd}"
        response = page.get(f"/statements/{statement.number}.json")
        assert response.json()["by_model"][0]["model"] == "m"
        assert f'"total_usd":{statement.total_usd}' in response.content.decode()

    def test_the_pdf_has_the_numbers_of_the_page(self, books: Books, page: Client) -> None:
        for model in ("m", "n", "n"):
            books.settled(OCTOBER + DAY, (model, SOME))
        generate_statements(NOVEMBER + HOUR)
        (statement,) = statements(books)
        assert f"/statements/{statement.number}.pdf" in page.get(f"/statements/{statement.number}/").text
        response = page.get(f"/statements/{statement.number}.pdf")
        assert response["Content-Type"] == "application/pdf"
        text = " ".join(read.extract_text() for read in PdfReader(BytesIO(response.content)).pages)
        words = " ".join(text.split())
        assert f"Statement {statement.number} October 2026" in words
        assert f"exactly ${statement.total_usd.normalize()}; 3 requests" in words
        for line in statement_detail(statement).models:
            assert (
                f"{line.requests} {line.input_tokens:,} {line.cached_tokens:,} {line.output_tokens}" in words
            )
            assert money_text(line.cost_usd) in words
            assert f">{line.input_tokens:,}<" in page.get(f"/statements/{statement.number}/").text

    def test_a_pdf_takes_any_name_and_many_lines(self, books: Books, page: Client) -> None:
        books.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        (statement,) = statements(books)
        for number in range(80):
            StatementLine.objects.create(
                statement=statement, key=books.key, key_name="日本 ☃ “x”", provider="p" * 60,
                model=f"model-{number}-" + "x" * 100, requests=number, cost_usd=number,
            )  # fmt: skip
        content = page.get(f"/statements/{statement.number}.pdf").content
        pages = PdfReader(BytesIO(content)).pages
        assert len(pages) > 1
        assert "model-79" in pages[-1].extract_text() + pages[-2].extract_text() + pages[0].extract_text()

    def test_anothers_are_not_found(self, books: Books, page: Client) -> None:
        stranger = Books()
        stranger.settled(OCTOBER + DAY, ("m", SOME))
        generate_statements(NOVEMBER + HOUR)
        (theirs,) = statements(stranger)
        for ending in ("/", ".pdf", ".csv", ".json"):
            assert page.get(f"/statements/{theirs.number}{ending}").status_code == 404
        assert theirs.number not in page.get("/statements/").content.decode()

    def test_they_ask_the_database_the_same_however_many_there_are(self, books: Books, page: Client) -> None:
        counts = []
        for months_ in range(1, 4):
            books.settled(OCTOBER - 31 * months_ * DAY, ("m", SOME))
            Statement.objects.filter(account=books.account).delete()
            generate_statements(NOVEMBER + HOUR)
            with CaptureQueriesContext(connection) as queries:
                page.get("/statements/")
            counts.append(len(queries))
        assert counts[0] == counts[2]
