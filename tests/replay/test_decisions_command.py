"""`manage.py decisions` on what the pipeline really stored."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Account
from billing.models import Request
from tests.decide.conftest import PROMPTS

STRATEGIES = ("auto", "balanced", "cost", "quality", "speed")


Told = Callable[..., Any]


@pytest.fixture
def told(account: Account) -> Told:
    """What the command prints about the account's requests."""

    def told(*arguments: str) -> Any:
        out = StringIO()
        call_command("decisions", "--account", str(account.pk), *arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    return told


@pytest.fixture
def asked(http: httpx.Client) -> int:
    """One request a prompt and strategy in turn, and one that was pinned."""
    for number, prompt in enumerate(PROMPTS):
        body = {"messages": [{"role": "user", "content": prompt}], "strategy": STRATEGIES[number % 5]}
        assert http.post("/api/v1/chat", json=body).status_code == 200
    pinned = {"messages": [{"role": "user", "content": "hi"}], "model": "gpt-4.1"}
    assert http.post("/api/v1/chat", json=pinned).status_code == 200
    return len(PROMPTS) + 1


def test_stored_decisions_come_out_again_and_an_altered_one_is_found(
    asked: int, told: Told, account: Account
) -> None:
    assert told() == {"decisions": asked, "reproduced": asked, "mismatches": []}
    row = Request.objects.filter(account=account).first()
    assert row is not None
    row.trace["candidates"][1]["p_success"] = 0.01
    row.save(update_fields=["trace"])
    with pytest.raises(CommandError, match="1 records"):
        told()


def test_what_another_strategy_would_have_come_to(asked: int, told: Told) -> None:
    found = told("--what-if", "cost", "model:claude-opus-5")
    cheap, dear = found["cost"], found["claude-opus-5"]
    assert cheap["requests"] + cheap["left_out"] == asked
    assert cheap["cost_difference_usd"]["value"] < 0 < dear["cost_difference_usd"]["value"]
    assert told("--what-if", "cost", "--last", "3")["cost"]["requests"] <= 3


def test_a_policy_that_does_not_exist_is_named(db: object) -> None:
    with pytest.raises(CommandError, match="none of auto"):
        call_command("decisions", "--what-if", "luck")
    with pytest.raises(CommandError, match="no model 'gpt-0'"):
        call_command("decisions", "--what-if", "model:gpt-0")


def test_the_page_savings_tells_it_too(asked: int, account: Account) -> None:
    client = Client()
    client.force_login(account.members.get(), backend="allauth.account.auth_backends.AuthenticationBackend")
    text = client.get("/savings/strategies").content.decode()
    assert all(f">{strategy}<" in text for strategy in STRATEGIES)
    assert client.get("/savings/export.json").json()["strategies"]["cost"]["requests"] > 0
