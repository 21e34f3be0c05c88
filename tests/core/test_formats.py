"""Numbers as people read them: short on the page, exact on hover and in what is copied."""

from decimal import Decimal

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from core.numbers.formats import (
    change,
    compact,
    duration,
    exact_money_text,
    less,
    money_text,
    percent,
    sum_places,
)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ("0", "$0.00"),
        ("1.5", "$1.50"),
        ("1234567.125", "$1,234,567.12"),
        ("0.999999", "$1.00"),
        ("0.25", "$0.25"),
        ("0.0123456", "$0.0123"),
        ("0.000000007", "$0.000000007"),
        ("-0.000123456", "−$0.000123"),
        ("-12.5", "−$12.50"),
    ],
)
def test_money_has_two_decimals_from_a_dollar_and_three_digits_below(usd: str, shown: str) -> None:
    assert money_text(Decimal(usd)) == shown


def test_the_exact_sum_is_on_hover_and_in_the_value() -> None:
    text = Template("{% money usd %}").render(Context({"usd": Decimal("12.345678901")}))
    assert text == '<data class="money" value="$12.345678901" title="$12.345678901">$12.35</data>'


@pytest.mark.parametrize(
    ("paid", "saved", "places"),
    [
        ("0.00872", "0.12755", 4),  # with three digits each: 0.00872 + 0.128 = 0.136
        ("0.01", "12.29", 2),
        ("0.0012", "12.2951", 3),
        ("0.003", "0.003", 3),
        ("0.001", "-0.0005", 4),
        ("0", "0", 2),
    ],
)
def test_a_shown_sum_is_the_sum_of_what_is_shown(paid: str, saved: str, places: int) -> None:
    parts = Decimal(paid), Decimal(saved)
    assert sum_places(sum(parts, Decimal()), *parts) == places


@given(st.decimals("0.000000001", 1000, places=9), st.decimals("0.000000001", 1000, places=9))
def test_any_two_parts_add_up_as_they_are_shown(paid: Decimal, saved: Decimal) -> None:
    places = sum_places(paid + saved, paid, saved)
    shown = [
        Decimal(money_text(usd, places).lstrip("$").replace(",", "")) for usd in (paid, saved, paid + saved)
    ]
    assert shown[0] + shown[1] == shown[2]
    assert all(shown)


def test_a_saved_share_is_less_or_more() -> None:
    assert [less(share) for share in (0.936, -0.2, None)] == ["93.6% less", "20% more", "—"]


def test_no_sum_is_a_dash() -> None:
    assert Template("{% money usd %}").render(Context({"usd": None})) == '<span class="faint">—</span>'


@given(st.decimals(Decimal(0), Decimal(10**6), places=9))
def test_the_shown_sum_is_within_half_a_percent_of_the_exact_one(usd: Decimal) -> None:
    shown = Decimal(money_text(usd).lstrip("$").replace(",", ""))
    assert abs(shown - usd) <= usd * Decimal("0.0051")
    assert Decimal(exact_money_text(usd).lstrip("$").replace(",", "")) == usd


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "—"), (0, "0%"), (0.0004, "<0.1%"), (0.934, "93.4%"), (0.95, "95%"), (0.9996, ">99.9%"),
        (1, "100%"), (-0.125, "−12.5%"),
    ],
)  # fmt: skip
def test_only_nothing_and_everything_are_0_and_100_percent(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (None, "—"), (812, "812 ms"), (999.7, "1.00 s"), (1_240, "1.24 s"), (12_340, "12.3 s"),
        (59_960, "1 min"), (75_000, "1 min 15 s"), (3_599_900, "1 h"), (7_500_000, "2 h 5 min"),
        (273_600_000, "3 d 4 h"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(ms: float | None, shown: str) -> None:
    assert duration(ms) == shown


def test_counts_and_changes_are_short() -> None:
    assert [compact(number) for number in (999, 128_000, 1_050_000)] == ["999", "128K", "1.05M"]
    assert [change(value) for value in (0.123, -0.5, 3.2, 0.001)] == ["+12%", "−50%", "4.2×", "±0%"]
