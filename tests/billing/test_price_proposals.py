"""Doubtful prices wait for a person: asked once, following the list, gone when it comes back to ours."""

import copy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ConditionalPrice, StartDateConstraint

from accounts.models import AuditEntry, User
from billing.alerts.models import Alert
from billing.models import ModelPrice, PriceProposal
from billing.prices.book import SINCE_EVER, ListedPrice, add_prices, load_price_book
from billing.prices.proposals import accept, enter_price, note_unpriced, reject
from billing.prices.refresh import refresh
from billing.tasks import ask_for_prices
from billing.usage import Usage
from tests.billing.bookkeeping import Books

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class TheList:
    """The price list that comes with the library, free to be changed."""

    def __init__(self) -> None:
        self.snapshot: Any = DataSnapshot(copy.deepcopy(get_snapshot().providers), from_auto_update=True)

    def says(self, model: str, **prices: str) -> None:
        info = self.snapshot.find_provider_model(model, None, None, None)[1].get_prices(NOW)
        for field, usd in prices.items():
            setattr(info, field, Decimal(usd))

    def announces(self, model: str, day: date, **prices: str) -> None:
        info = self.snapshot.find_provider_model(model, None, None, None)[1]
        later = copy.deepcopy(info.get_prices(NOW))
        for field, usd in prices.items():
            setattr(later, field, Decimal(usd))
        info.prices = [
            ConditionalPrice(prices=info.get_prices(NOW)),
            ConditionalPrice(StartDateConstraint(day), prices=later),
        ]

    def drops(self, model: str) -> Any:
        for provider in self.snapshot.providers:
            others = [info for info in provider.models if info.id != model]
            if len(others) < len(provider.models):
                provider.models = others


@pytest.fixture
def the_list() -> TheList:
    return TheList()


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("operator@example.com", is_staff=True)


def pending() -> list[tuple[str, str]]:
    waiting = PriceProposal.objects.filter(decided_at=None).order_by("model", "kind")
    return list(waiting.values_list("model", "kind"))


def alerts() -> list[str]:
    return list(Alert.objects.filter(resolved_at=None).order_by("pk").values_list("kind", flat=True))


def output_of(model: str, moment: datetime = NOW + DAY) -> Decimal | None:
    period = load_price_book().at(model, moment)
    return period.tiers[0].prices.output if period else None


def test_a_large_move_is_proposed_once_and_follows_the_list(the_list: TheList) -> None:
    the_list.says("gpt-4o", output_mtok="20")
    refresh(NOW, the_list.snapshot)
    the_list.says("gpt-4o", output_mtok="30")
    refresh(NOW + DAY, the_list.snapshot)
    assert pending() == [("gpt-4o", "moved")]
    proposal = PriceProposal.objects.get()
    assert (proposal.current[0][1]["output"], proposal.proposed[0][1]["output"]) == ("10", "30")
    assert proposal.seen_at == NOW, "when it was first seen"
    assert output_of("gpt-4o") == 10


@pytest.mark.parametrize(
    ("usd", "kinds"),
    [("12", []), ("12.01", ["moved"]), ("8", []), ("7.99", ["moved"]), ("0", ["moved"])],
)
def test_a_move_is_large_above_a_fifth(the_list: TheList, usd: str, kinds: list[str]) -> None:
    the_list.says("gpt-4o", output_mtok=usd)
    refresh(NOW, the_list.snapshot)
    assert [kind for _, kind in pending()] == kinds
    assert output_of("gpt-4o") == (10 if kinds else Decimal(usd))


def test_a_list_that_comes_back_takes_its_question_back(the_list: TheList) -> None:
    the_list.says("gpt-4o", output_mtok="20")
    refresh(NOW, the_list.snapshot)
    assert alerts() == ["price.moved"]
    the_list.says("gpt-4o", output_mtok="10")
    refresh(NOW + DAY, the_list.snapshot)
    assert pending() == []
    assert alerts() == []
    proposal = PriceProposal.objects.get()
    assert (proposal.decided_at, proposal.decision, proposal.decided_by) == (NOW + DAY, "", None)
    assert AuditEntry.objects.count() == 0, "no person acted"


def test_a_vanished_model_is_proposed_until_it_returns(the_list: TheList) -> None:
    full = copy.deepcopy(the_list.snapshot)
    the_list.drops("gpt-4o")
    refresh(NOW, the_list.snapshot)
    assert pending() == [("gpt-4o", "vanished")]
    assert output_of("gpt-4o") == 10, "the price we have stays in force"
    refresh(NOW + DAY, full)
    assert pending() == []


def test_a_rejected_price_is_proposed_again_only_after_a_move(the_list: TheList, operator: User) -> None:
    the_list.says("gpt-4o", output_mtok="20")
    refresh(NOW, the_list.snapshot)
    reject(PriceProposal.objects.get(), operator, NOW)
    assert alerts() == []
    refresh(NOW + DAY, the_list.snapshot)
    assert pending() == []
    the_list.says("gpt-4o", output_mtok="25")
    refresh(NOW + 2 * DAY, the_list.snapshot)
    assert pending() == [("gpt-4o", "moved")]


def test_what_was_accepted_is_what_the_list_says(the_list: TheList, operator: User) -> None:
    the_list.says("gpt-4o", output_mtok="20")
    refresh(NOW, the_list.snapshot)
    accept(PriceProposal.objects.get(), operator, NOW)
    assert output_of("gpt-4o", NOW) == 20
    assert output_of("gpt-4o", NOW - DAY) == 10
    assert refresh(NOW + DAY, the_list.snapshot) == 0
    assert pending() == []


def test_a_scheduled_price_takes_over_from_an_accepted_one(the_list: TheList, operator: User) -> None:
    the_list.says("gemini-4-argon", output_mtok="30")
    refresh(NOW, the_list.snapshot)
    accept(PriceProposal.objects.get(model="gemini-4-argon"), operator, NOW)
    assert output_of("gemini-4-argon", NOW) == 30
    assert output_of("gemini-4-argon", datetime(2026, 12, 1, tzinfo=UTC)) == 20


MARCH = datetime(2027, 3, 1, tzinfo=UTC)


def test_a_small_move_that_is_announced_is_scheduled(the_list: TheList) -> None:
    the_list.announces("gpt-4o", MARCH.date(), output_mtok="11")
    assert refresh(NOW, the_list.snapshot) > 0
    assert refresh(NOW + DAY, the_list.snapshot) == 0
    assert [output_of("gpt-4o", moment) for moment in (NOW, MARCH - DAY, MARCH)] == [10, 10, 11]
    assert pending() == []


def test_a_large_move_that_is_announced_waits_and_begins_when_it_says(
    the_list: TheList, operator: User
) -> None:
    the_list.announces("gpt-4o", MARCH.date(), output_mtok="20")
    assert refresh(NOW, the_list.snapshot) == 0
    refresh(NOW + DAY, the_list.snapshot)
    assert pending() == [("gpt-4o", "moved")]
    accept(PriceProposal.objects.get(), operator, NOW + DAY)
    assert [output_of("gpt-4o", moment) for moment in (NOW + DAY, MARCH - DAY, MARCH)] == [10, 10, 20]
    assert refresh(NOW + 2 * DAY, the_list.snapshot) == 0
    assert refresh(MARCH + DAY, the_list.snapshot) == 0
    assert pending() == []


def test_an_announced_move_that_has_begun_is_a_move(the_list: TheList) -> None:
    the_list.announces("gpt-4o", MARCH.date(), output_mtok="20")
    refresh(NOW, the_list.snapshot)
    refresh(MARCH + DAY, the_list.snapshot)
    assert pending() == [("gpt-4o", "moved")]
    assert PriceProposal.objects.get().effective_from is None


def test_an_announcement_that_is_taken_back_takes_its_question_back(the_list: TheList) -> None:
    full = copy.deepcopy(the_list.snapshot)
    the_list.announces("gpt-4o", MARCH.date(), output_mtok="20")
    refresh(NOW, the_list.snapshot)
    refresh(NOW + DAY, full)
    assert pending() == []


def test_the_list_does_not_overrule_a_price_entered_by_hand(the_list: TheList, operator: User) -> None:
    flat = {"uncached_input": Decimal("2.5"), "cache_read": Decimal("1.25"), "output": Decimal("9.5")}
    enter_price("gpt-4o", ((0, flat),), NOW, operator, NOW)
    assert refresh(NOW + DAY, the_list.snapshot) == 0, "5 % apart, and yet"
    assert pending() == [("gpt-4o", "moved")]
    reject(PriceProposal.objects.get(), operator, NOW + DAY)
    refresh(NOW + 2 * DAY, the_list.snapshot)
    assert pending() == []
    assert output_of("gpt-4o") == Decimal("9.5")


def test_a_price_entered_by_hand_decides_proposals(the_list: TheList, operator: User) -> None:
    the_list.says("gpt-4o", output_mtok="20")
    refresh(NOW, the_list.snapshot)
    flat = {"uncached_input": Decimal("2.5"), "cache_read": Decimal("1.25"), "output": Decimal(15)}
    enter_price("gpt-4o", ((0, flat),), NOW, operator, NOW)
    assert pending() == []
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "price.entered",
        "price.rejected",
    ]


def test_a_refresh_that_fails_in_the_middle_changes_nothing(
    the_list: TheList, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_list.says("gpt-4o", output_mtok="20")  # would be asked
    the_list.says("gpt-5.4", output_mtok="15.1")  # would be added
    rows = list(ModelPrice.objects.order_by("pk").values())

    def full(*_: Any) -> int:
        raise OSError("disk full")

    monkeypatch.setattr("billing.prices.refresh.add_prices", full)
    with pytest.raises(OSError, match="disk full"):
        refresh(NOW, the_list.snapshot)
    assert list(ModelPrice.objects.order_by("pk").values()) == rows
    assert pending() == []


def test_an_unpriced_model_is_proposed_until_it_has_a_price(operator: User) -> None:
    Books().settled(NOW, ("unlisted", Usage(uncached_input_tokens=5)))
    assert note_unpriced(NOW) == ["unlisted"]
    assert note_unpriced(NOW + DAY) == ["unlisted"]
    assert pending() == [("unlisted", "unpriced")]
    assert alerts() == ["price.unpriced"]
    enter_price("unlisted", ((0, {"uncached_input": Decimal(0), "output": Decimal(0)}),), NOW, operator, NOW)
    assert note_unpriced(NOW + DAY) == []
    assert pending() == []
    assert PriceProposal.objects.get().decision == "accepted"
    assert alerts() == []


def test_the_job_asks_for_the_price() -> None:
    Books().settled(datetime.now(UTC), ("unlisted", Usage(uncached_input_tokens=5)))
    ask_for_prices()
    assert pending() == [("unlisted", "unpriced")]


def test_a_price_that_came_otherwise_takes_the_question_back() -> None:
    Books().settled(NOW, ("unlisted", Usage(uncached_input_tokens=5)))
    note_unpriced(NOW)
    prices = {"uncached_input": Decimal(1), "output": Decimal(1)}
    add_prices([ListedPrice("unlisted", SINCE_EVER, None, ((0, prices),), "tests")])
    assert note_unpriced(NOW) == []
    assert pending() == []


def test_a_list_that_learns_an_unpriced_models_price_proposes_it(the_list: TheList, operator: User) -> None:
    ModelPrice.objects.filter(model="gpt-4o").delete()
    Books().settled(NOW, ("gpt-4o", Usage(uncached_input_tokens=5)))
    note_unpriced(NOW)
    refresh(NOW, the_list.snapshot)
    proposal = PriceProposal.objects.get(model="gpt-4o", kind="unpriced")
    assert output_of("gpt-4o") is None, "a name that matches may be another's model"
    accept(proposal, operator, NOW, SINCE_EVER)
    assert output_of("gpt-4o") == 10
