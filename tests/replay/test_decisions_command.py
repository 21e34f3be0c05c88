"""`manage.py decisions` on decisions stored by the pipeline."""

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


RunCommand = Callable[..., Any]


@pytest.fixture
def run_command(account: Account) -> RunCommand:
    """Run the command on the account's requests; return its JSON output."""

    def run_command(*arguments: str) -> Any:
        out = StringIO()
        call_command("decisions", "--account", str(account.pk), *arguments, "--json", stdout=out)
        return json.loads(out.getvalue())

    return run_command


@pytest.fixture
def stored_requests(http: httpx.Client) -> int:
    """The number of requests sent: each prompt with a strategy in turn, and one with a pinned model."""
    for number, prompt in enumerate(PROMPTS):
        body = {"messages": [{"role": "user", "content": prompt}], "strategy": STRATEGIES[number % 5]}
        assert http.post("/api/v1/chat", json=body).status_code == 200
    pinned = {"messages": [{"role": "user", "content": "hi"}], "model": "gpt-4.1"}
    assert http.post("/api/v1/chat", json=pinned).status_code == 200
    return len(PROMPTS) + 1


def test_stored_decisions_are_reproduced_and_an_altered_one_is_reported(
    stored_requests: int, run_command: RunCommand, account: Account
) -> None:
    assert run_command() == {"decisions": stored_requests, "reproduced": stored_requests, "mismatches": []}
    row = Request.objects.filter(account=account).first()
    assert row is not None
    row.trace["candidates"][1]["p_success"] = 0.01
    row.save(update_fields=["trace"])
    with pytest.raises(CommandError, match="1 records"):
        run_command()


def test_another_strategy_and_model_are_estimated(stored_requests: int, run_command: RunCommand) -> None:
    estimates = run_command("--what-if", "cost", "model:claude-opus-5")
    cheap, expensive = estimates["cost"], estimates["claude-opus-5"]
    assert cheap["requests"] + cheap["left_out"] == stored_requests
    assert cheap["cost_difference_usd"]["value"] < 0 < expensive["cost_difference_usd"]["value"]
    assert run_command("--what-if", "cost", "--last", "3")["cost"]["requests"] <= 3


def test_a_policy_that_does_not_exist_is_named(db: object) -> None:
    with pytest.raises(CommandError, match="neither one of auto"):
        call_command("decisions", "--what-if", "luck")
    with pytest.raises(CommandError, match="no model 'gpt-0'"):
        call_command("decisions", "--what-if", "model:gpt-0")


def test_the_savings_page_shows_it_too(stored_requests: int, account: Account) -> None:
    client = Client()
    client.force_login(account.members.get(), backend="allauth.account.auth_backends.AuthenticationBackend")
    text = client.get("/savings/strategies").content.decode()
    assert all(f'<td class="primary">{strategy}' in text for strategy in STRATEGIES)
    assert client.get("/savings/export.json").json()["strategies"]["cost"]["requests"] > 0
