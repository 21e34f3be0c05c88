"""From answers to outcomes: feedback, signs in settled requests, and their effect on the next decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Account
from billing.models import Request
from routing.learning.account import (
    FRESH_S,
    Learned,
    account_posteriors,
    active_shifts,
    forget,
    mode_of,
    set_mode,
)
from routing.learning.feedback import give_feedback
from routing.learning.models import Learning, Outcome
from routing.learning.outcomes import forget_old, gather
from routing.learning.posteriors import BOUND
from tests.pages.conftest import TRACE, MakeRequest

Mode = Learning.Mode
NOW = datetime.now(UTC)


class TestSigns:
    def test_feedback_is_kept_beside_what_was_predicted_without_learning(
        self, make_request: MakeRequest
    ) -> None:
        trace = {**TRACE, "candidates": [{**TRACE["candidates"][0], "learned": 0.04}]}  # type: ignore[index]
        row = make_request(1, trace=trace)
        give_feedback(row, 0.0)
        give_feedback(row, 1.0)  # the later one counts
        outcome = Outcome.objects.get()
        assert (outcome.arm, outcome.skill, outcome.score) == ("small", "conversation", 1.0)
        assert outcome.expected == pytest.approx(0.91 - 0.04)

    def test_an_arm_that_was_never_predicted_teaches_nothing(self, make_request: MakeRequest) -> None:
        give_feedback(make_request(1, served_model="elsewhere"), 1.0)
        assert not Outcome.objects.exists()

    def test_an_answer_without_the_form_asked_for_is_a_failure_and_one_with_it_a_success(
        self, make_request: MakeRequest
    ) -> None:
        make_request(1, output_valid=False)
        make_request(2, output_valid=True)
        make_request(3)
        assert gather(timezone.now()) == 2
        assert sorted(Outcome.objects.values_list("source", "score")) == [("form", 0.0), ("form", 1.0)]

    def test_asked_again_at_once_the_first_answer_failed(self, make_request: MakeRequest) -> None:
        first = make_request(1, prompt_hash="same")
        make_request(20, prompt_hash="same")
        assert gather(timezone.now()) == 1
        assert Outcome.objects.get().request == first

    def test_they_are_forgotten_when_they_count_no_more(
        self, make_request: MakeRequest, settings: Any
    ) -> None:
        make_request(1, output_valid=True)
        now = timezone.now()
        gather(now)
        settings.KEEP_OUTCOMES_DAYS = 1  # outcomes that still count stay anyway
        assert forget_old(now + timedelta(days=179)) == 0
        assert forget_old(now + timedelta(days=181)) == 1

    @pytest.mark.parametrize("seconds", [(1, 200), (1, 5, 9)])
    def test_a_prompt_repeated_later_or_in_a_loop_is_no_sign(
        self, make_request: MakeRequest, seconds: tuple[int, ...]
    ) -> None:
        for second in seconds:
            make_request(second, prompt_hash="same")
        assert gather(timezone.now()) == 0

    def test_gathered_twice_it_is_there_once(self, make_request: MakeRequest) -> None:
        make_request(1, output_valid=False)
        assert (gather(timezone.now()), gather(timezone.now())) == (1, 0)


@pytest.fixture
def taught(make_request: MakeRequest, account: Account) -> Account:
    """An account that said 60 times that `small` is no good for conversation."""
    for number in range(60):
        give_feedback(make_request(number), 0.0)
    return account


class TestAnAccount:
    def test_poor_feedback_lowers_only_the_accounts_own_predictions(
        self,
        taught: Account,
        stranger: Account,
    ) -> None:
        assert set(active_shifts(taught.pk, NOW)) == {"small|conversation"}
        assert -BOUND <= active_shifts(taught.pk, NOW)["small|conversation"] < -0.02
        assert active_shifts(stranger.pk, NOW) == {}

    def test_off_it_changes_nothing_and_on_again_all_is_there(self, taught: Account) -> None:
        before = active_shifts(taught.pk, NOW)
        set_mode(taught.pk, Mode.OFF, NOW)
        assert active_shifts(taught.pk, NOW) == {}
        set_mode(taught.pk, Mode.ON, NOW)
        assert active_shifts(taught.pk, NOW) == before

    def test_frozen_it_keeps_what_it_knew(self, taught: Account) -> None:
        before = dict(active_shifts(taught.pk, NOW))
        set_mode(taught.pk, Mode.FROZEN, NOW)
        for row in Request.objects.filter(account=taught):
            give_feedback(row, 1.0)
        assert active_shifts(taught.pk, NOW) == before
        set_mode(taught.pk, Mode.ON, NOW)
        assert active_shifts(taught.pk, NOW) != before

    @pytest.mark.parametrize("mode", Mode)
    def test_forgotten_it_is_as_new(self, taught: Account, mode: Mode) -> None:
        set_mode(taught.pk, mode, NOW)
        assert forget(taught.pk) == 60
        assert active_shifts(taught.pk, NOW) == {}
        assert account_posteriors(taught.pk, NOW) == []
        assert mode_of(taught.pk) == mode

    def test_one_keys_flood_stays_within_the_bound(self, make_request: MakeRequest, account: Account) -> None:
        for number in range(400):
            served = "middle" if number % 2 else "small"
            give_feedback(
                make_request(number, served_model=served, served_effort="low" if number % 2 else ""),
                float(number % 2),
            )
        shifts = active_shifts(account.pk, NOW)
        assert shifts["small|conversation"] == -BOUND
        assert 0 < shifts["middle@low|conversation"] <= BOUND


class TestAProcess:
    async def test_a_database_that_is_away_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        learned = Learned()
        shifts = {"a|coding": 0.1}
        answers = [shifts]

        def read(account_id: int, now: datetime) -> dict[str, float]:
            return answers.pop()  # raises IndexError the second time

        monkeypatch.setattr("routing.learning.account.active_shifts", read)
        monkeypatch.setattr("routing.learning.account.FRESH_S", 0.0)
        assert await learned.of(1) == shifts
        assert await learned.of(1) == shifts
        await learned.stop()
        assert await learned.of(1) == shifts
        await learned.stop()

    def test_news_are_heeded_within_a_minute(self) -> None:
        assert timedelta(seconds=FRESH_S) <= timedelta(minutes=1)
