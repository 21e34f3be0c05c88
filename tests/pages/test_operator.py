"""The operator's page: staff only; what is out of order shows; prices are decided and entered there."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, AuditEntry, User
from billing.alerts.models import Alert, JobRun
from billing.models import LedgerAudit, ModelPrice, PriceProposal, Request, WebProcess
from billing.prices.book import load_price_book
from billing.prices.proposals import propose
from routing.catalog.live import catalog
from routing.catalog.models import Model
from routing.execute.breaker import Breaker
from routing.learning.distribution import COLLAPSE_REQUESTS, distribution, watch
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from tests.pages.conftest import MakeRequest

FLAT = {
    "uncached_input": Decimal(1),
    "cache_read": Decimal(1),
    "cache_write": Decimal(1),
    "output": Decimal(2),
}


@pytest.fixture
def staff(page: Client, mine: tuple[Account, User]) -> Client:
    """A signed-in member of staff."""
    User.objects.filter(pk=mine[1].pk).update(is_staff=True)
    return page


def moved(usd: str = "4", model: str = "gpt-4o") -> PriceProposal:
    listed = ((0, {**FLAT, "output": Decimal(usd)}),)
    proposal = propose(model, PriceProposal.Kind.MOVED, ((0, FLAT),), listed, "genai-prices", timezone.now())
    assert proposal is not None
    return proposal


def price_of(model: str, moment: datetime | None = None) -> Any:
    period = load_price_book().at(model, moment or timezone.now())
    return period.tiers[0].prices if period else None


def shown(staff: Client) -> str:
    answer = staff.get("/operator/")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/operator/",
        "/operator/audit",
        "/operator/prices/new",
        "/operator/proposals/1/accept",
        "/operator/proposals/1/reject",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_to_others_than_staff_the_page_does_not_exist(
    page: Client, client: Client, path: str, method: str
) -> None:
    for browser in (page, client):
        assert getattr(browser, method)(path).status_code in {404, 405}
    assert AuditEntry.objects.count() == 0


def test_only_staff_see_the_link(page: Client, mine: tuple[Account, User]) -> None:
    assert b'href="/operator/"' not in page.get("/models/").content
    User.objects.filter(pk=mine[1].pk).update(is_staff=True)
    assert b'href="/operator/"' in page.get("/models/").content


def test_a_superuser_made_by_the_command_is_staff(db: None) -> None:
    from django.core.management import call_command

    call_command("createsuperuser", "--noinput", "--email", "operator@example.com")
    client = Client()
    client.force_login(User.objects.get(email="operator@example.com"))
    assert client.get("/operator/").status_code == 200


def test_an_empty_house_shows(staff: Client) -> None:
    page = shown(staff)
    assert "never checked" in page
    assert "No automatic decision in the last 24 hours" in page


def test_accepting_puts_the_listed_price_in_force_and_is_audited(
    staff: Client, mine: tuple[Account, User]
) -> None:
    proposal = moved()
    assert "gpt-4o" in shown(staff)
    before = price_of("gpt-4o")
    staff.post(f"/operator/proposals/{proposal.pk}/accept")
    assert price_of("gpt-4o").output == 4
    assert price_of("gpt-4o", timezone.now() - timedelta(hours=1)) == before
    entry = AuditEntry.objects.get()
    assert (entry.account, entry.actor, entry.action, entry.target) == (
        None,
        mine[1],
        "price.accepted",
        "gpt-4o",
    )
    proposal.refresh_from_db()
    assert (proposal.decision, proposal.decided_by) == ("accepted", mine[1])


def test_a_price_can_be_accepted_for_a_later_time(staff: Client) -> None:
    proposal, before = moved(), price_of("gpt-4o")
    staff.post(f"/operator/proposals/{proposal.pk}/accept", {"effective_from": "2099-01-02T03:00"})
    assert price_of("gpt-4o") == before
    assert price_of("gpt-4o", datetime(2099, 1, 2, 3, tzinfo=UTC)).output == 4


def test_rejecting_keeps_ours_and_is_audited(staff: Client) -> None:
    proposal, rows = moved(), ModelPrice.objects.count()
    staff.post(f"/operator/proposals/{proposal.pk}/reject")
    assert ModelPrice.objects.count() == rows
    assert AuditEntry.objects.get().action == "price.rejected"


def test_what_is_decided_is_not_decided_again(staff: Client) -> None:
    proposal = moved()
    staff.post(f"/operator/proposals/{proposal.pk}/reject")
    rows = ModelPrice.objects.count()
    answer = staff.post(f"/operator/proposals/{proposal.pk}/accept", follow=True)
    assert b"decided already" in answer.content
    assert ModelPrice.objects.count() == rows


def test_a_time_that_is_none_decides_nothing(staff: Client) -> None:
    proposal = moved()
    answer = staff.post(f"/operator/proposals/{proposal.pk}/accept", {"effective_from": "soon"}, follow=True)
    assert b"That is not a time" in answer.content
    proposal.refresh_from_db()
    assert proposal.decided_at is None


def test_accepting_that_a_model_vanished_switches_it_off(staff: Client) -> None:
    propose("gpt-4o", PriceProposal.Kind.VANISHED, ((0, FLAT),), None, "genai-prices", timezone.now())
    staff.post(f"/operator/proposals/{PriceProposal.objects.get().pk}/accept")
    assert not Model.objects.get(pk="gpt-4o").enabled


def entered(staff: Client, **fields: str) -> Any:
    blank = {"tiers-TOTAL_FORMS": "2", "tiers-INITIAL_FORMS": "0"}
    return staff.post(
        "/operator/prices/new", blank | {"model": "gpt-4o", "uncached_input": "1", "output": "2"} | fields
    )


def test_a_price_is_entered_by_hand_with_its_tiers(staff: Client) -> None:
    long = {"tiers-0-over": "200000", "tiers-0-uncached_input": "2", "tiers-0-output": "3"}
    assert entered(staff, cache_read="0.1", **long).status_code == 302
    period = load_price_book().at("gpt-4o", timezone.now())
    assert period is not None
    assert [tier.over_input_tokens for tier in period.tiers] == [0, 200_000]
    assert (period.tiers[0].prices.cache_read, period.tiers[1].prices.output) == (Decimal("0.1"), 3)
    assert (period.source, AuditEntry.objects.get().action) == ("operator", "price.entered")


def test_a_price_of_nothing_is_a_price(staff: Client) -> None:
    entered(staff, uncached_input="0", output="0")
    assert price_of("gpt-4o").output == 0


def test_a_price_may_begin_at_a_given_time(staff: Client) -> None:
    before = price_of("gpt-4o")
    entered(staff, effective_from="2098-01-01T00:00")
    assert price_of("gpt-4o") == before
    assert price_of("gpt-4o", datetime(2098, 1, 1, tzinfo=UTC)).output == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"output": ""}, "This field is required"),
        ({"output": "-1"}, "greater than or equal to 0"),
        ({"output": "NaN"}, "Enter a number"),
        ({"output": "1e30"}, "digits"),
        ({"model": "nobody-knows"}, "There is no model"),
        ({"effective_from": "tomorrow"}, "valid date/time"),
        ({"effective_from": "9999-12-31T23:59"}, "before 2100"),
        ({"tiers-0-over": "5", "tiers-0-output": "3"}, "A tier needs at least"),
        ({"tiers-0-output": "3"}, "over which these prices apply"),
        (
            {f"tiers-{n}-{name}": "5" for n in (0, 1) for name in ("over", "uncached_input", "output")},
            "Two tiers begin",
        ),
    ],
)
def test_a_price_that_is_none_is_refused_with_the_reason(
    staff: Client, fields: dict[str, str], words: str
) -> None:
    rows = ModelPrice.objects.count()
    answer = entered(staff, **fields)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert ModelPrice.objects.count() == rows


def test_entering_begins_with_the_price_in_force(staff: Client) -> None:
    form = staff.get("/operator/prices/new", {"model": "gpt-6-astra"}).context
    assert form["form"]["output"].value() == "50"
    assert form["more"][0]["over"].value() == 272_000


def test_an_audit_runs_now_and_shows_what_it_found(
    staff: Client, make_request: MakeRequest, account: Account
) -> None:
    make_request(1, created_at=timezone.now())  # tokens without an attempt
    staff.post("/operator/audit")
    stored = LedgerAudit.objects.get()
    assert stored.violations
    page = shown(staff)
    assert "req_00000000000000000000000001" in page
    assert "A request costs what its charged attempts cost together" in page


def test_open_requests_show_with_the_oldest(staff: Client, make_request: MakeRequest) -> None:
    began = timezone.now() - timedelta(minutes=3)
    make_request(1, status=Request.Status.OPEN, created_at=began, cost_usd=None)
    make_request(2, status=Request.Status.OPEN, cost_usd=None, lease_until=began)
    traffic = staff.get("/operator/").context["traffic"]
    assert (traffic.open, traffic.overdue) == (2, 1)


def test_providers_show_attempts_failures_and_their_last_moments(
    staff: Client, make_request: MakeRequest, make_attempt: Any, settings: Any
) -> None:
    settings.PROVIDERS = [
        {"name": "openai", "dialect": "openai", "base_url": "https://x.example", "api_key": "sk-hidden"}
    ]
    row = make_request(1)
    make_attempt(row, 1, model="gpt-4o", outcome="failed")
    good = make_attempt(row, 2, model="gpt-4o")
    make_attempt(row, 3, model="gpt-4o", started_at=timezone.now() - timedelta(hours=3))
    answer = staff.get("/operator/")
    (provider,) = answer.context["providers"]
    assert (provider.attempts, provider.failed, provider.last_ok) == (2, 1, good.started_at)
    assert b"sk-hidden" not in answer.content


def test_an_open_circuit_shows_why_and_for_how_long(
    staff: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PROVIDERS = [
        {"name": "openai", "dialect": "openai", "base_url": "https://x.example", "api_key": "k"}
    ]
    settings.REDIS_URL = ""
    breaker = Breaker()
    monkeypatch.setattr("routing.state.runtime.alive", lambda: [SimpleNamespace(breaker=breaker)])
    facts = catalog.snapshot.models["gpt-4o"]
    failure = UpstreamFailure(FailureKind.AUTH, "wrong key")
    for _ in range(2):  # a provider is paused for long only after a second refusal
        breaker.failed(facts, failure, time.monotonic())
    page = shown(staff)
    assert "auth: wrong key; tried again in 300 s" in page
    assert "An operator must fix this" in page
    assert staff.get("/operator/").context["providers"][0].status == "down"


def test_web_processes_show(staff: Client) -> None:
    now = timezone.now()
    WebProcess.objects.create(pk="p1", host="web-7", pid=41, started_at=now, seen_at=now)
    assert "web-7" in shown(staff)


def test_unpriced_requests_name_the_model_and_what_to_do(
    staff: Client, make_request: MakeRequest, make_attempt: Any
) -> None:
    row = make_request(1, unpriced=True, cost_usd=None)
    make_attempt(row, 1, model="brand-new", charged=True, cost_usd=None)
    page = shown(staff)
    assert "brand-new" in page
    assert "manage.py reprice" in page


def decided(make_request: MakeRequest, arms: dict[str, int], **columns: Any) -> Any:
    numbers = iter(range(10_000))
    for arm, count in arms.items():
        for _ in range(count):
            make_request(next(numbers), created_at=timezone.now(), routed_model=arm, **columns)
    return distribution(timezone.now())


def test_nearly_all_decisions_for_one_arm_are_a_collapse(staff: Client, make_request: MakeRequest) -> None:
    arms = decided(make_request, {"one": COLLAPSE_REQUESTS, "other": 15})
    assert arms.collapsed
    assert arms.evenness < 0.5
    assert "Routing has collapsed" in shown(staff)


def test_a_collapse_is_alerted_once_and_resolved(make_request: MakeRequest) -> None:
    decided(make_request, {"one": COLLAPSE_REQUESTS})
    watch(timezone.now())
    watch(timezone.now())
    alert = Alert.objects.get()
    assert (alert.kind, alert.resolved_at) == ("routing.collapsed", None)
    watch(timezone.now() + timedelta(days=2))
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_jobs_show_with_how_their_last_run_went(staff: Client) -> None:
    now = timezone.now()
    JobRun.objects.create(
        name="billing.tasks.refresh_prices",
        first_started_at=now,
        started_at=now,
        succeeded_at=None,
        ok=False,
        error="the list is not JSON",
    )
    page = shown(staff)
    assert "billing.tasks.refresh_prices" in page
    assert "the list is not JSON" in page


@pytest.mark.parametrize(
    ("arms", "columns"),
    [
        ({"one": COLLAPSE_REQUESTS - 1}, {}),  # too few to tell
        ({"one": 180, "other": 21}, {}),
        ({"one": COLLAPSE_REQUESTS}, {"mode": "manual"}),  # the callers chose
    ],
)
def test_what_is_no_collapse(
    db: None, make_request: MakeRequest, arms: dict[str, int], columns: dict[str, str]
) -> None:
    assert not decided(make_request, arms, **columns).collapsed


def test_even_decisions_have_an_evenness_of_one(make_request: MakeRequest) -> None:
    assert decided(make_request, {"one": 5, "other": 5}).evenness == pytest.approx(1)


def test_hostile_names_are_only_text(staff: Client) -> None:
    moved(model="<script>alert(1)</script>")
    assert "<script>alert" not in shown(staff)


def test_queries_do_not_grow_with_what_is_shown(staff: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        moved(model=f"m{number}")
    with django_assert_max_num_queries(35):
        staff.get("/operator/")


def test_a_job_that_never_ran_is_not_ok(staff: Client) -> None:
    JobRun.objects.all().delete()
    page = shown(staff)
    assert "not run yet" in page or "late" in page
    now = timezone.now()
    JobRun.objects.create(name="billing.tasks.refresh_prices", first_started_at=now, started_at=now)
    page = shown(staff)
    assert "not run yet" in page
    assert 'status-ok">ok' not in page


def test_home_and_operator_agree_on_a_providers_health(
    staff: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    make_request(1)
    settings.REDIS_URL = ""
    settings.PROVIDERS = [
        {"name": "openai", "dialect": "openai", "base_url": "https://x.example", "api_key": "k"}
    ]
    breaker = Breaker()
    monkeypatch.setattr("routing.state.runtime.alive", lambda: [SimpleNamespace(breaker=breaker)])
    facts = catalog.snapshot.models["gpt-4o"]
    for _ in range(10):
        breaker.failed(facts, UpstreamFailure(FailureKind.SERVER, "broken"), time.monotonic())
    (on_home,) = (each for each in staff.get("/").context["providers"] if each.provider == "openai")
    assert on_home.status == staff.get("/operator/").context["providers"][0].status == "degraded"
    assert "models of OpenAI are unavailable" in staff.get("/").content.decode()
