"""Exclusions and providers in the models of a request, a key and an account, at every API."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from accounts.keys import create_key
from tests.conftest import Simulator
from tests.door_client import DoorClient, NativeClient, Reply


@pytest.fixture
def with_rules(server: str, account: Any, caller: DoorClient) -> Iterator[Any]:
    """`with_rules(key=[…], account=[…])`: the API's client of a key with these rules."""
    clients = []

    def client(key: list[str] = [], account_rules: list[str] = []) -> DoorClient:  # noqa: B006
        account.allowed_models = account_rules
        account.save()
        secret = create_key(account, "ruled", allowed_models=key)[1]
        http = httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
        clients.append(http)
        return type(caller)(http, caller.streamed)

    yield client
    for http in clients:
        http.close()


def message(reply: Reply) -> str:
    return str((reply.error or {})["message"])


def removed(http: httpx.Client, **fields: Any) -> dict[str, str]:
    """By model, the reason for its removal from a decision."""
    body = {"messages": [{"role": "user", "content": "hi"}]} | fields
    data = http.post("/api/v1/route", json=body).json()["data"]
    return {entry["model"]: entry["reason"] for entry in data["removed"]}


def test_a_provider_includes_and_a_name_excludes(caller: DoorClient, simulator: Simulator) -> None:
    reply = caller.ask(models=["anthropic/*", "-claude-haiku-4-5", "-claude-haiku-5-5"], strategy="cost")
    assert reply.model.startswith("claude-")
    assert reply.model not in ("claude-haiku-4-5", "claude-haiku-5-5")


def test_excluded_providers_do_not_answer(caller: DoorClient, simulator: Simulator) -> None:
    assert caller.ask(models=["-openai/*", "-anthropic/*"]).model.startswith("gemini-")


def test_an_unknown_exclusion_is_an_error_with_near_matches(caller: DoorClient) -> None:
    reply = caller.ask(models=["-gpt-5-nanoo"])
    assert (reply.status, (reply.error or {})["code"]) == (400, "invalid_model")
    assert "gpt-5-nano" in message(reply)
    reply = caller.ask(models=["-opena/*"])
    assert "There is no provider 'opena'. Did you mean openai/*?" in message(reply)


def test_an_exclusion_that_leaves_nothing_names_what_to_change(caller: DoorClient) -> None:
    reply = caller.ask(models=["gpt-4.1", "-openai/*"])
    assert reply.status == 400
    assert "`models` excludes every model" in message(reply)
    reply = caller.ask(models=["-openai/*", "-anthropic/*", "-google/*"])
    assert reply.status == 400
    assert "No model is left. Models are excluded: change `models` of the request." in message(reply)


def test_a_named_model_that_the_key_or_account_excludes_is_denied(with_rules: Any) -> None:
    reply = with_rules(key=["-gpt-4.1"]).ask(model="gpt-4.1")
    assert (reply.status, (reply.error or {})["code"]) == (403, "permission_denied")
    assert "The key excludes gpt-4.1: create a key without that rule" in message(reply)
    reply = with_rules(account_rules=["-openai/*"]).ask(model="gpt-4.1")
    assert (reply.status, (reply.error or {})["code"]) == (403, "permission_denied")
    assert "The account excludes gpt-4.1: change Models on the Settings page" in message(reply)


def test_a_request_cannot_bring_back_what_its_key_excludes(with_rules: Any, simulator: Simulator) -> None:
    client = with_rules(key=["openai/*", "-gpt-4.1"])
    assert client.ask(models=["gpt-4.1", "gpt-4.1-mini"]).model == "gpt-4.1-mini"
    reply = client.ask(models=["gpt-4.1"])
    assert (reply.status, (reply.error or {})["code"]) == (403, "permission_denied")
    assert "The key excludes gpt-4.1" in message(reply)


@pytest.mark.parametrize("caller", [(NativeClient, False)], indirect=True, ids=["native"])
def test_each_removal_says_who_excludes_it(with_rules: Any) -> None:
    client = with_rules(key=["-gpt-4.1", "-gpt-4o"], account_rules=["-gpt-4o", "-google/*"])
    reasons = removed(client.http, models=["-claude-opus-5"])
    assert reasons["claude-opus-5"].endswith("is excluded by the request.")
    assert reasons["gpt-4.1"].endswith("is excluded by the key.")
    assert reasons["gpt-4o"].endswith("is excluded by the account.")
    assert reasons["gemini-2.5-pro"].endswith("is excluded by the account.")


@pytest.mark.parametrize("caller", [(NativeClient, False)], indirect=True, ids=["native"])
def test_the_lists_show_a_key_only_what_it_may_use(with_rules: Any, server: str) -> None:
    http = with_rules(key=["openai/*", "-gpt-4.1"], account_rules=["-gpt-4o"]).http
    native = {entry["id"] for entry in http.get("/api/v1/models").json()["data"]}
    assert native
    assert all(entry.startswith(("gpt-", "o3")) for entry in native)
    assert native.isdisjoint({"gpt-4.1", "gpt-4o"})
    for headers in ({}, {"anthropic-version": "2023-06-01"}):
        listed = {entry["id"] for entry in http.get("/v1/models", headers=headers).json()["data"]}
        assert listed == native | {"routeplex-ai"}
        assert http.get("/v1/models/gpt-4.1", headers=headers).status_code == 404
        assert http.get("/v1/models/gpt-4.1-mini", headers=headers).status_code == 200
    assert "gpt-4.1" in {entry["id"] for entry in httpx.get(f"{server}/api/v1/models").json()["data"]}


def test_an_account_and_a_key_without_a_common_model_are_named(with_rules: Any) -> None:
    reply = with_rules(key=["gpt-4.1"], account_rules=["-openai/*"]).ask()
    assert (reply.status, (reply.error or {})["code"]) == (403, "permission_denied")
    assert "have none in common. The account excludes gpt-4.1" in message(reply)
