"""The pages' vocabulary: a signed-in person, an account's rows, a trace as the decision writes it."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import create_key
from accounts.models import Account, ApiKey, Member, Plan, User
from billing.models import Attempt, Request

_numbers = itertools.count(1)

MakeRequest = Callable[..., Request]


def make_account(name: str) -> tuple[Account, User]:
    user = User.objects.create_user(f"{name}{next(_numbers)}@pages.example")
    plan, _ = Plan.objects.get_or_create(name="unlimited", defaults={"title": "Unlimited"})
    account = Account.objects.create(name=name, plan=plan)
    Member.objects.create(account=account, user=user)
    return account, user


def entry(arm: str, **numbers: Any) -> dict[str, Any]:
    """One candidate as routing.decide.trace.Entry is stored."""
    model, _, effort = arm.partition("@")
    return {
        "arm": arm,
        "model": model,
        "effort": effort or None,
        "name": model.title(),
        "provider": "openai",
        "p_success": 0.9,
        "low": 0.8,
        "high": 0.95,
        "cost_usd": 0.0004,
        "latency_ms": 900.0,
        "ttft_ms": 300.0,
        "p_up": 1.0,
        "output_tokens": 120,
        "scored": True,
        "utility": 0.5,
        "competent": True,
        "learned": 0.0,
        "removed": None,
    } | numbers


TRACE = {
    "snapshot": "test-1",
    "mode": "routeplex-ai",
    "strategy": "auto",
    "query_type": "conversation",
    "complexity": 0.08,
    "skills": {"conversation": 0.8, "humanities": 0.15, "coding": 0.01},
    "candidates": [
        entry("small", p_success=0.91, low=0.85, high=0.95, cost_usd=0.0001, utility=0.9),
        entry("middle@low", p_success=0.94, low=0.9, high=0.97, cost_usd=0.002, utility=0.8),
        entry("large@high", p_success=0.97, low=0.95, high=0.99, cost_usd=0.04, utility=0.2),
        entry("waste", p_success=0.6, low=0.4, high=0.8, cost_usd=0.01, utility=0.1),
        entry("blind", removed={"code": "capability", "words": "does not see images"}),
    ],
    "chain": ["small", "middle@low"],
    "reason": "A trivial conversation prompt: Small is good enough.",
    "flip": "Would have gone to Middle if cost weighed 50% less.",
    "notes": [],
    "selection_probability": 1.0,
    "explored": False,
}


@pytest.fixture
def mine(db: None) -> tuple[Account, User]:
    return make_account("mine")


@pytest.fixture
def account(mine: tuple[Account, User]) -> Account:
    return mine[0]


@pytest.fixture
def page(mine: tuple[Account, User]) -> Client:
    """A browser that is signed in to `account`."""
    client = Client()
    client.force_login(mine[1], backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def stranger(db: None) -> Account:
    """Another account, whose things must never show."""
    return make_account("stranger")[0]


@pytest.fixture
def key(account: Account) -> ApiKey:
    return create_key(account, "production")[0]


@pytest.fixture
def make_request(account: Account, key: ApiKey) -> MakeRequest:
    """Write a request of the account: settled, ten minutes old, unless columns say otherwise."""

    def make(number: int = 0, **columns: Any) -> Request:
        defaults: dict[str, Any] = {
            "id": f"req_{number:026d}",
            "account": account,
            "key": key,
            "created_at": timezone.now() - timedelta(minutes=10) + timedelta(seconds=number),
            "lease_until": timezone.now() + timedelta(minutes=5),
            "status": Request.Status.SUCCEEDED,
            "door": "native",
            "mode": "routeplex-ai",
            "strategy": "auto",
            "query_type": "conversation",
            "routed_model": "small",
            "served_model": "small",
            "provider": "openai",
            "uncached_input_tokens": 1000,
            "output_tokens": 200,
            "cost_usd": Decimal("0.000180000"),
            "baseline_model": "large",
            "baseline_usd": Decimal("0.009"),
            "unit_prices": {
                "uncached_input": "0.1", "output": "0.4", "cache_read": "0.025",
                "cache_write": "0.1", "cache_write_1h": "0.1",
            },
            "latency_ms": 850,
            "ttft_ms": 240,
            "finish_reason": "stop",
            "trace": TRACE,
        }  # fmt: skip
        row = Request(**defaults | columns)
        if row.status != Request.Status.OPEN and row.settled_at is None:
            row.settled_at = row.created_at + timedelta(seconds=1)
        row.save(force_insert=True)
        return row

    return make


@pytest.fixture
def make_attempt() -> Callable[..., Attempt]:
    def make(request: Request, number: int = 1, **columns: Any) -> Attempt:
        defaults: dict[str, Any] = {
            "model": "small",
            "provider": "openai",
            "outcome": Attempt.Outcome.OK,
            "started_at": request.created_at + timedelta(milliseconds=400 * (number - 1)),
            "latency_ms": 400,
            "ttft_ms": 120,
            "cost_usd": Decimal("0.00018"),
        }
        return Attempt.objects.create(request=request, number=number, **defaults | columns)

    return make


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
