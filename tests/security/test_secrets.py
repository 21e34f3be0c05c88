"""No secret is stored or logged in clear text, also when a provider echoes it."""

import logging
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.conf import settings

from accounts.models import Account, Member
from tests.conftest import Simulator

CHAT = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
PASSWORD = "correct-horse-9"


def everything_stored() -> str:
    """Return every value of every table, traces unpacked, binary columns unchanged."""
    values = []
    for model in apps.get_models():
        for row in model._default_manager.all():
            for field in model._meta.concrete_fields:
                value = getattr(row, field.attname)
                values.append(
                    bytes(value).decode("latin-1") if isinstance(value, memoryview | bytes) else str(value)
                )
    return "\n".join(values)


def test_no_secret_is_stored_or_logged_after_traffic_of_every_kind(
    http: httpx.Client,
    api_key: str,
    account: Account,
    simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    provider_keys = {provider["api_key"] for provider in settings.PROVIDERS}
    echo: dict[str, Any] = {"error": {"message": f"Incorrect API key provided: {min(provider_keys)}."}}
    responses = []
    for door in ("/api/v1/chat", "/v1/chat/completions"):
        responses.append(
            http.post(door, json=CHAT | ({"model": "routeplex-ai"} if door.startswith("/v1") else {}))
        )
        responses.append(
            http.post(door, json=CHAT, headers={"Idempotency-Key": f"once-{api_key[-6:]}-{door}"})
        )
        simulator.fault(kind="status", status=400, body=echo, count=1)
        responses.append(http.post(door, json=CHAT | {"model": "gpt-4.1-mini"}))
        responses.append(
            http.get("/api/v1/requests", headers={"x-api-key": api_key + "x", "Authorization": ""})
        )
    stored, logged = everything_stored(), caplog.text
    answers = "\n".join(answer.text + str(answer.headers) for answer in responses)
    for secret in {api_key, *provider_keys, PASSWORD}:
        assert secret not in stored
        assert secret not in logged
        assert secret not in answers
    assert Member.objects.filter(account=account).exists(), "the tables were really read"
    assert str(account.pk) in stored
