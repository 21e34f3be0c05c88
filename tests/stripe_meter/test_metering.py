"""Stripe gets exactly the usage the ledger has: once, even if calls or answers are lost."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.alerts.models import Alert
from billing.checks.audit import audit
from billing.models import Request
from billing.prices.book import SINCE_EVER, ListedPrice, add_prices
from billing.prices.repricing import reprice
from billing.stripe_meter import checks
from billing.stripe_meter import tasks as jobs
from billing.stripe_meter.metering import OLDEST, REPEATABLE, SENDING_AT_MOST, due_nano, meter, send
from billing.stripe_meter.models import MeterEvent, Subscription
from tests.billing.bookkeeping import Books
from tests.stripe_meter.conftest import HOUR, START, Stripe, subscribed, tokens


def states(subscription: Subscription) -> list[str]:
    return list(subscription.events.order_by("pk").values_list("state", flat=True))


def ledger_micro(books: Books) -> Decimal:
    rows = Request.objects.filter(account=books.account, created_at__gte=START)
    return sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0)) * 1_000_000


def metered(subscription: Subscription, now: Any) -> int:
    meter(now)
    return send(now)


class TestWhatIsSent:
    def test_what_was_used_since_the_subscription_began(self, books: Books, stripe: Stripe) -> None:
        books.settled(START - HOUR, ("m", tokens(5_000_000)))
        subscription = subscribed(books)
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        assert metered(subscription, START + 2 * HOUR) == 1
        (event,) = stripe.events.values()
        assert event == {
            "value": "1000700",
            "customer": subscription.customer.customer_id,
            "name": "usage",
            "at": int((START + 2 * HOUR).timestamp()),
        }

    def test_nothing_twice(self, books: Books, stripe: Stripe) -> None:
        subscription = subscribed(books)
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        assert [metered(subscription, START + 2 * HOUR), metered(subscription, START + 3 * HOUR)] == [1, 0]

    def test_what_is_less_than_a_millionth_waits_until_it_is_one(self, books: Books, stripe: Stripe) -> None:
        subscription = subscribed(books)
        for n in range(1, 5):
            books.settled(START + n * HOUR, ("m", tokens(333)))  # 333.2331 millionths
            metered(subscription, START + n * HOUR + HOUR / 2)
        assert [int(event["value"]) for event in stripe.events.values()] == [333, 333, 333, 333]
        books.settled(START + 5 * HOUR, ("m", tokens(333)))
        metered(subscription, START + 6 * HOUR)
        assert stripe.total == 1666 == int(ledger_micro(books))

    def test_after_its_end_nothing_more(self, books: Books, stripe: Stripe) -> None:
        subscription = subscribed(books, until=START + 2 * HOUR, status="canceled")
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        books.settled(START + 3 * HOUR, ("m", tokens(1_000_000)))
        metered(subscription, START + 4 * HOUR)
        (event,) = stripe.events.values()
        assert event["value"] == "1000700"
        assert event["at"] == int((START + 2 * HOUR).timestamp()) - 1

    def test_a_ledger_that_became_less_is_set_off_against_what_is_used_next(
        self, books: Books, stripe: Stripe
    ) -> None:
        subscription = subscribed(books)
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        metered(subscription, START + 2 * HOUR)
        add_prices(
            [
                ListedPrice(
                    "m",
                    SINCE_EVER,
                    None,
                    ((0, {"uncached_input": Decimal("0.5"), "output": Decimal(1)}),),
                    "less",
                )
            ]
        )
        reprice("m", START, START + 2 * HOUR, reason="typo", by="me", now=START + 3 * HOUR)
        assert due_nano(subscription, START + 3 * HOUR) == -500_700_000
        books.settled(START + 3 * HOUR, ("m", tokens(1_000_000)))
        assert metered(subscription, START + 4 * HOUR) == 0
        books.settled(START + 4 * HOUR, ("m", tokens(1_000_000)))
        metered(subscription, START + 5 * HOUR)
        assert stripe.total == ledger_micro(books) == 1_500_000

    def test_what_is_older_than_stripe_bills_goes_to_an_operator(self, books: Books, stripe: Stripe) -> None:
        subscription = subscribed(books, until=START + 2 * HOUR, status="canceled")
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        metered(subscription, START + 2 * HOUR + OLDEST + HOUR)
        assert (states(subscription), stripe.events) == (["failed"], {})
        assert Alert.objects.get(kind="stripe.event_failed", resolved_at=None).severity == "critical"


class TestWhenStripeFails:
    @pytest.fixture
    def subscription(self, books: Books, stripe: Stripe) -> Subscription:
        subscription = subscribed(books)
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        return subscription

    @pytest.mark.parametrize("fault", [500, 503, "silent", "lost"])
    def test_what_may_not_have_arrived_is_sent_again_under_its_name(
        self, subscription: Subscription, stripe: Stripe, fault: int | str
    ) -> None:
        stripe.then = [fault]
        metered(subscription, START + 2 * HOUR)
        assert states(subscription) == ["unknown"]
        assert metered(subscription, START + 3 * HOUR) == 1
        assert (states(subscription), stripe.total) == (["sent"], 1_000_700)
        first, second = [form["identifier"] for path, form in stripe.calls if "meter" in path]
        assert first == second

    def test_after_a_day_an_operator_decides(self, subscription: Subscription, stripe: Stripe) -> None:
        stripe.then = ["lost"]
        metered(subscription, START + 2 * HOUR)
        assert metered(subscription, START + 2 * HOUR + REPEATABLE) == 0
        assert len(stripe.calls) == 1
        event = subscription.events.get()
        assert event.identifier in Alert.objects.get(kind="stripe.event_unknown", resolved_at=None).message
        call_command("stripe_events", "sent", event.identifier)
        assert states(subscription) == ["sent"]
        assert not Alert.objects.filter(kind="stripe.event_unknown", resolved_at=None).exists()

    @pytest.mark.parametrize("status", [401, 403, 429])
    def test_a_door_that_is_shut_loses_nothing(
        self, subscription: Subscription, stripe: Stripe, status: int
    ) -> None:
        stripe.then = [status]
        metered(subscription, START + 2 * HOUR)
        assert states(subscription) == ["pending"]
        assert Alert.objects.filter(kind="stripe.refused", resolved_at=None).count() == 1
        assert metered(subscription, START + 3 * HOUR) == 1
        assert not Alert.objects.filter(kind="stripe.refused", resolved_at=None).exists()

    def test_a_refused_event_is_stored_and_listed(
        self, subscription: Subscription, stripe: Stripe, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stripe.then = [400]
        metered(subscription, START + 2 * HOUR)
        assert states(subscription) == ["failed"]
        call_command("stripe_events")
        identifier = capsys.readouterr().out.split()[0]
        call_command("stripe_events", "again", identifier)
        assert metered(subscription, START + 3 * HOUR) == 1
        with pytest.raises(CommandError, match="No open event"):
            call_command("stripe_events", "again", identifier)

    def test_a_process_that_dies_while_sending_leaves_it_to_the_next(
        self, subscription: Subscription, stripe: Stripe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def dies(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("billing.stripe_meter.metering._set_state", dies)
            with pytest.raises(KeyboardInterrupt):
                metered(subscription, START + 2 * HOUR)
        assert states(subscription) == ["sending"]
        assert metered(subscription, START + 2 * HOUR + SENDING_AT_MOST / 2) == 0
        assert metered(subscription, START + 2 * HOUR + 2 * SENDING_AT_MOST) == 1
        assert (states(subscription), stripe.total) == (["sent"], 1_000_700)


FAULTS: list[int | str] = [200, 200, 200, 500, "silent", "lost", 429]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["use", "tell"]), st.integers(1, 99_999), st.sampled_from(FAULTS)),
        max_size=20,
    )
)
def test_what_stripe_has_is_what_the_ledger_has(
    books: Books, stripe: Stripe, steps: list[tuple[str, int, int | str]]
) -> None:
    fresh, now = Books(), START
    subscription = subscribed(fresh)
    stripe.events.clear()
    for what, number, fault in steps:
        now += timedelta(minutes=20)
        if what == "use":
            fresh.settled(now, ("m", tokens(number)))
        else:
            stripe.then = [] if fault == 200 else [fault]
            metered(subscription, now)
        mine = sum(
            int(e["value"])
            for e in stripe.events.values()
            if e["customer"] == subscription.customer.customer_id
        )
        assert mine <= ledger_micro(fresh)
    stripe.then = []
    for _ in range(2):
        now += HOUR
        metered(subscription, now)
    mine = sum(
        int(e["value"]) for e in stripe.events.values() if e["customer"] == subscription.customer.customer_id
    )
    assert 0 <= ledger_micro(fresh) - mine < 1
    assert audit(now, None, fresh.account.pk).violations == 0
    Subscription.objects.filter(pk=subscription.pk).update(
        until=START
    )  # so that the next example meters its own alone
    MeterEvent.objects.filter(subscription=subscription).delete()


class TestSettings:
    def test_off_it_does_nothing(self, books: Books) -> None:
        subscribed(books)
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        jobs.meter_usage()
        assert not MeterEvent.objects.exists()

    def test_set_by_half_does_not_start(self, settings: Any) -> None:
        assert checks.check_stripe() == []
        settings.STRIPE_SECRET_KEY = "sk_test_x"
        (error,) = checks.check_stripe()
        assert "STRIPE_WEBHOOK_SECRET, STRIPE_METER_EVENT, STRIPE_PRICE is missing" in error.msg

    def test_the_job_meters_and_sends(self, books: Books, stripe: Stripe) -> None:
        subscribed(books)
        books.settled(START + HOUR, ("m", tokens(1_000_000)))
        jobs.meter_usage()
        assert stripe.total == 1_000_700
