"""The cost of usage: classes, tiers, periods, to the last digit by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.models import ModelPrice
from billing.prices.book import SINCE_EVER, ListedPrice, add_prices, load_price_book
from billing.prices.prices import PriceBook, PricePeriod, PriceTier, UnitPrices, cost, unit_prices
from billing.usage import Usage

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
tokens = st.integers(0, 2_000_000)
usages = st.builds(
    Usage,
    uncached_input_tokens=tokens,
    cache_read_tokens=tokens,
    cache_write_tokens=tokens,
    cache_write_1h_tokens=tokens,
    output_tokens=tokens,
)


def price(model: str, usage: Usage, moment: datetime = NOW) -> Decimal:
    period = load_price_book().at(model, moment)
    assert period is not None
    return cost(usage, unit_prices(period.tiers, usage.input_tokens))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        # 10 × 0.10 + 8 × 0.50 per million
        ("gpt-6-luna", Usage(uncached_input_tokens=10, output_tokens=8), "0.000005"),
        # 900 × 0.10 + 100 × 0.01 + 50 × 0.50
        ("gpt-6-luna", Usage(900, 100, output_tokens=50, reasoning_tokens=40), "0.000116"),
        # 10 × 4 + 85 × 0.20 + 5 × 5 (5-minute write) + 7 × 8 (1-hour write) + 3 × 20
        ("claude-opus-5-5", Usage(10, 85, 5, 7, 3), "0.000198"),
        # over 272,000 input tokens the whole request costs 20 / 75
        ("gpt-6-astra", Usage(uncached_input_tokens=300_000, output_tokens=1_000), "6.075"),
        ("gpt-6-astra", Usage(uncached_input_tokens=272_000, output_tokens=1_000), "2.77"),
        # over 100,000 five times as much
        ("claude-haiku-5-5", Usage(uncached_input_tokens=100_001), "0.0500005"),
    ],
)
def test_golden_costs(model: str, usage: Usage, usd: str) -> None:
    assert price(model, usage) == Decimal(usd)


@pytest.mark.django_db
def test_a_price_changes_on_its_date_and_not_before() -> None:
    usage = Usage(uncached_input_tokens=1_000_000)
    assert price("gemini-4-argon", usage, datetime(2026, 11, 30, 23, 59, tzinfo=UTC)) == 2
    assert price("gemini-4-argon", usage, datetime(2026, 12, 1, tzinfo=UTC)) == 4


@pytest.mark.django_db
def test_an_unknown_model_has_no_price_rather_than_a_price_of_nothing() -> None:
    assert load_price_book().at("unlisted", NOW) is None


PRICES = UnitPrices(*(Decimal(value) for value in ("2", "10", "0.1", "2.5", "4")))


@given(usages, usages)
def test_cost_is_additive_to_the_quantum(first: Usage, other: Usage) -> None:
    together = cost(first + other, PRICES)
    assert abs(together - cost(first, PRICES) - cost(other, PRICES)) <= Decimal("1e-9")


@given(usages)
def test_usage_classes_add_up(usage: Usage) -> None:
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert cost(usage, PRICES) >= 0


def flat(usd: int) -> UnitPrices:
    return UnitPrices(*(Decimal(usd),) * 5)


@given(st.sets(st.integers(1, 2_000_000), max_size=5), st.integers(0, 3_000_000))
def test_the_tier_is_the_highest_one_that_the_whole_input_exceeds(overs: set[int], input_tokens: int) -> None:
    tiers = tuple(PriceTier(over, flat(over)) for over in sorted({0, *overs}))
    expected = max((over for over in overs if input_tokens > over), default=0)
    assert unit_prices(tiers, input_tokens) == flat(expected)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=6, unique=True), st.integers(0, 500))
def test_the_period_in_force_is_the_latest_that_began(days: list[int], today: int) -> None:
    def moment(day: int) -> datetime:
        return NOW + timedelta(days=day)

    starts = sorted(days)
    book = PriceBook(
        PricePeriod(
            "m", str(start), (PriceTier(0, flat(start)),), moment(start), moment(end) if end else None
        )
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    )
    begun = [start for start in starts if start <= today]
    period = book.at("m", moment(today))
    assert (period.version if period else None) == (str(begun[-1]) if begun else None)


def declared(usd: str) -> list[ListedPrice]:
    prices = {"uncached_input": Decimal(usd), "output": Decimal(usd)}
    return [ListedPrice("local/one", SINCE_EVER, None, ((0, prices),), "tests")]


@pytest.mark.django_db
def test_a_price_that_comes_back_is_in_force_again_and_nothing_was_overwritten() -> None:
    assert [add_prices(declared(usd)) for usd in ("1", "1", "2", "1", "1")] == [2, 0, 2, 2, 0]
    assert price("local/one", Usage(uncached_input_tokens=1_000_000)) == 1
    rows = ModelPrice.objects.filter(model="local/one", token_class="output").order_by("id")
    assert [row.usd_per_mtok for row in rows] == [1, 2, 1]


@pytest.mark.django_db
def test_classes_a_source_does_not_list_cost_what_plain_input_does() -> None:
    add_prices(declared("3"))
    period = load_price_book().at("local/one", NOW)
    assert period is not None
    assert period.tiers[0].prices == flat(3)


def test_after_the_end_of_its_last_period_a_model_is_unpriced() -> None:
    book = PriceBook([PricePeriod("m", "1", (PriceTier(0, flat(1)),), None, NOW)])
    assert book.at("m", NOW - timedelta(microseconds=1)) is not None
    assert book.at("m", NOW) is None
