"""Every error below /api and /v1 is JSON in the form of its door, also at unknown paths and wrong methods."""

from typing import Any

import anthropic
import httpx
import openai
import pytest

from core.errors import ApiError
from routing.doors.registry import DOORS, door_at
from routing.doors.shared.errors import api_error, header_value
from tests.conftest import Simulator
from tests.doors.conftest import FORMATS, Door


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_method_gets_the_allowed_ones(door: Door, method: str) -> None:
    response = door.http.request(method, door.path)
    assert (response.status_code, door.code(response)) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v1/nothing", "/api/v2/chat", "/api/v1/chat/"])
def test_an_unknown_native_path_is_json(http: httpx.Client, method: str, path: str) -> None:
    response = http.request(method, path)
    assert (response.status_code, Door(http, "native").code(response)) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/embeddings", "/v1/chat/completions/"])
def test_an_unknown_openai_path_is_json(http: httpx.Client, path: str) -> None:
    response = http.post(path, json={})
    assert (response.status_code, Door(http, "openai").code(response)) == (404, "not_found")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unauthenticated"),
        ({"Authorization": "Basic abc"}, "unauthenticated"),
        ({"Authorization": "Bearer rp_live_unknown"}, "invalid_api_key"),
    ],
)
def test_without_a_valid_key_no_provider_is_called(
    server: str, simulator: Simulator, headers: dict[str, str], code: str
) -> None:
    with httpx.Client(base_url=server, headers=headers) as http:
        for name in FORMATS:
            door = Door(http, name)
            response = door.ask()
            assert (response.status_code, door.code(response)) == (401, code)
            assert response.headers["www-authenticate"].startswith("Bearer")
    assert simulator.calls() == []


@pytest.mark.parametrize("header", ["api-key", "x-api-key"])
def test_a_key_may_come_in_other_headers(server: str, api_key: str, header: str) -> None:
    with httpx.Client(base_url=server, headers={header: api_key}, timeout=30) as http:
        assert Door(http, "openai").ask().status_code == 200


def test_a_key_without_the_scope_is_refused(server: str, account: Any) -> None:
    from accounts.keys import create_key

    key = create_key(account, "reader", scopes=["usage"])[1]
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {key}"}) as http:
        for name in FORMATS:
            response = Door(http, name).ask()
            assert (response.status_code, Door(http, name).code(response)) == (403, "permission_denied")


def test_openais_client_raises_its_own_errors(
    server: str, api_key: str, account: Any, simulator: Simulator
) -> None:
    from accounts.caller import Limits
    from accounts.keys import create_key

    def ask(key: str = api_key, **fields: Any) -> None:
        client = openai.OpenAI(base_url=f"{server}/v1", api_key=key, max_retries=0)
        messages: Any = [{"role": "user", "content": "Hello"}]
        client.chat.completions.create(**{"model": "auto", "messages": messages} | fields)

    with pytest.raises(openai.AuthenticationError):
        ask("rp_live_unknown")
    with pytest.raises(openai.BadRequestError) as wrong:
        ask(temperature=3)
    assert (wrong.value.param, wrong.value.code) == ("temperature", "validation_error")
    with pytest.raises(openai.PermissionDeniedError):
        ask(create_key(account, "reader", scopes=["usage"])[1])
    limited = create_key(account, "limited", limits=Limits(requests_per_minute=1))[1]
    ask(limited)
    with pytest.raises(openai.RateLimitError):
        ask(limited)
    client = openai.OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="auto", input="Hello")
    simulator.fault(kind="status", status=500, count=3)
    with pytest.raises(openai.InternalServerError):
        ask()


def test_a_stream_that_breaks_ends_in_an_error_of_its_door(door: Door, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=3, count=1)
    simulator.fault(kind="status", status=500, count=2)  # nor can anyone continue it
    events = door.events(door.ask(stream=True))
    assert door.broke_off(events[-1])
    completed = {"done", "message_stop", "response.completed"}
    assert not any(event.get("type") in completed for event in events)


def test_openais_client_raises_when_a_stream_breaks(server: str, api_key: str, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=3, count=1)
    simulator.fault(kind="status", status=500, count=2)  # nor can anyone continue it
    client = openai.OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)
    messages: Any = [{"role": "user", "content": "What is the capital of France?"}]
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="auto", messages=messages, stream=True))


def test_an_error_before_the_first_byte_is_no_stream(door: Door, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=500, count=3)
    response = door.ask(stream=True)
    assert (response.status_code, door.code(response)) == (503, "all_providers_failed")


@pytest.mark.parametrize("path", ["/v1", "/v1/models/gpt-99", "/v1/models/", "/v1/files", "/v1/complete"])
def test_at_a_shared_path_a_client_gets_its_own_form_of_errors(http: httpx.Client, path: str) -> None:
    openai_client, anthropic_client = Door(http, "openai"), Door(http, "messages")
    response = http.get(path)
    assert response.status_code == 404
    openai_client.code(response)
    response = http.get(path, headers={"anthropic-version": "2023-06-01"})
    assert response.status_code == 404
    anthropic_client.code(response)


def test_an_anthropic_client_gets_its_own_form_of_errors_for_a_wrong_method(http: httpx.Client) -> None:
    response = http.post("/v1/models", json={}, headers={"anthropic-version": "2023-06-01"})
    assert (response.status_code, Door(http, "messages").code(response)) == (405, "method_not_allowed")


def test_anthropics_client_raises_not_found_for_an_unknown_model(server: str, api_key: str) -> None:
    client = anthropic.Anthropic(base_url=server, api_key=api_key, max_retries=0)
    with pytest.raises(anthropic.NotFoundError) as refused:
        client.models.retrieve("gpt-99")
    error: Any = refused.value.body
    assert (error["error"]["type"], error["error"]["details"]["error_code"]) == (
        "not_found_error",
        "model_not_found",
    )
    assert refused.value.request_id == error["request_id"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/api/v1/nothing"])
def test_a_path_of_one_door_keeps_its_form_whatever_the_headers(path: str) -> None:
    assert door_at(path, {"anthropic-version"}) is door_at(path, {})


def test_a_bug_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    error = api_error(KeyError("secret_table"))
    for door in DOORS:
        response = door.error_response(error, "req_1")
        assert (response.status_code, b"secret" in response.content) == (500, False)
    assert "secret_table" in caplog.text


def test_what_a_provider_says_cannot_break_a_header() -> None:
    assert header_value("a\r\nSet-Cookie: b\x00é") == "a??Set-Cookie: b??"
    error = ApiError("No", headers={"Retry-After": "1\r\nX-Evil: 1"})
    assert door_at("/v1/models", {}).error_response(error, "req_1").headers["Retry-After"] == "1??X-Evil: 1"
