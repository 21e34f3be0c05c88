"""Every error under /api/ and /v1/ is JSON in the shape of its door, unknown paths and wrong methods too."""

from typing import Any

import httpx
import openai
import pytest

from core.errors import ApiError
from routing.doors.shared.errors import api_error, error_response, header_value
from tests.conftest import Simulator
from tests.doors.conftest import Door, events


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_method_is_told_which_is_right(door: Door, method: str) -> None:
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
def test_without_a_good_key_nobody_is_asked(
    server: str, simulator: Simulator, headers: dict[str, str], code: str
) -> None:
    with httpx.Client(base_url=server, headers=headers) as http:
        for name in ("native", "openai"):
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
        for name in ("native", "openai"):
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
    told = events(door.ask(stream=True))
    if door.name == "native":
        assert set(told[-1]) == {"type", "code", "message"}
        assert told[-1]["type"] == "error"
    else:
        assert set(told[-1]) == {"error"}
        assert told[-1]["error"]["type"] == "server_error"
    assert not any(event.get("type") == "done" for event in told)


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


def test_a_bug_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    error = api_error(KeyError("secret_table"))
    for path in ("/api/v1/chat", "/v1/chat/completions"):
        response = error_response(error, path, "req_1")
        assert (response.status_code, b"secret" in response.content) == (500, False)
    assert "secret_table" in caplog.text


def test_what_a_provider_says_cannot_break_a_header() -> None:
    assert header_value("a\r\nSet-Cookie: b\x00é") == "a??Set-Cookie: b??"
    error = ApiError("No", headers={"Retry-After": "1\r\nX-Evil: 1"})
    assert error_response(error, "/v1/models", "req_1").headers["Retry-After"] == "1??X-Evil: 1"
