"""Ordered faults look on the wire as the real thing does, and the call list tells what was served."""

import json
import socket
import subprocess
import sys

import anthropic
import httpx
import openai
import pytest

from tests.simulator.conftest import Running

BEARER = {"authorization": "Bearer key"}


def gemini_stream(simulator: Running, prompt: str = "Explain tides") -> str:
    path = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    body = {"contents": [{"parts": [{"text": prompt}]}]}
    return simulator.http.post(path, json=body, headers={"x-goog-api-key": "key"}).text


@pytest.mark.parametrize(
    ("status", "error_code", "expected", "code"),
    [
        (429, None, openai.RateLimitError, "rate_limit_exceeded"),
        (429, "insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        (500, None, openai.InternalServerError, None),
        (503, None, openai.InternalServerError, "server_is_overloaded"),
        (401, None, openai.AuthenticationError, "invalid_api_key"),
        (404, None, openai.NotFoundError, "model_not_found"),
        (400, "context_length_exceeded", openai.BadRequestError, "context_length_exceeded"),
        (400, "content_policy_violation", openai.BadRequestError, "content_policy_violation"),
    ],
)
def test_openai_status_faults(
    simulator: Running,
    openai_client: openai.OpenAI,
    status: int,
    error_code: str | None,
    expected: type[openai.APIStatusError],
    code: str | None,
) -> None:
    simulator.fault("status", provider="openai", status=status, error_code=error_code, retry_after=3, count=1)
    with pytest.raises(expected) as raised:
        openai_client.responses.create(model="gpt-6-luna", input="Hello")
    assert raised.value.code == code
    assert raised.value.status_code == status
    assert raised.value.response.headers["retry-after"] == "3"
    assert openai_client.responses.create(model="gpt-6-luna", input="Hello").output_text


@pytest.mark.parametrize(
    ("status", "error_code", "wire_status", "kind"),
    [
        (429, None, 429, "rate_limit_error"),
        (503, None, 529, "overloaded_error"),
        (529, None, 529, "overloaded_error"),
        (500, None, 500, "api_error"),
        (401, None, 401, "authentication_error"),
        (402, None, 402, "billing_error"),
        (404, None, 404, "not_found_error"),
        (400, "credit_balance_too_low", 400, "invalid_request_error"),
    ],
)
def test_anthropic_status_faults(
    simulator: Running, status: int, error_code: str | None, wire_status: int, kind: str
) -> None:
    simulator.fault("status", provider="anthropic", status=status, error_code=error_code)
    answer = simulator.messages("claude-haiku-5-5")
    body = answer.json()
    assert (answer.status_code, body["error"]["type"]) == (wire_status, kind)
    assert body["request_id"] == answer.headers["request-id"]
    assert ("retry-after" in answer.headers) == (status == 429)


def test_an_anthropic_spend_limit_has_no_retry_after(simulator: Running) -> None:
    simulator.fault("status", status=429, error_code="enforced_spend_limit_reached")
    answer = simulator.messages("claude-haiku-5-5")
    assert answer.json()["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert "retry-after" not in answer.headers


def test_gemini_429_says_the_wait_in_its_body(simulator: Running) -> None:
    simulator.fault("status", provider="google", status=429, retry_after=14, count=1)
    simulator.fault("status", provider="google", status=429, error_code="PerDay")
    error = simulator.gemini("gemini-3.8-flash").json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"][1]["retryDelay"] == "14s"
    assert "PerMinute" in error["details"][0]["violations"][0]["quotaId"]
    daily = simulator.gemini("gemini-3.8-flash").json()["error"]
    assert "PerDay" in daily["details"][0]["violations"][0]["quotaId"]


def test_a_fault_strikes_its_provider_and_model_count_times(simulator: Running) -> None:
    simulator.fault("status", provider="openai", model="gpt-4o", status=500, count=2)
    assert [simulator.chat("gpt-4o").status_code for _ in range(3)] == [500, 500, 200]
    simulator.fault("status", provider="openai", model="gpt-4o", status=500)
    assert simulator.chat("gpt-4o-mini").status_code == 200
    assert simulator.messages("claude-haiku-5-5").status_code == 200
    simulator.clear()
    assert simulator.chat("gpt-4o").status_code == 200


def test_a_rate_strikes_a_share_of_calls(simulator: Running) -> None:
    simulator.fault("status", status=500, rate=0.5)
    statuses = [simulator.chat().status_code for _ in range(60)]
    assert 10 < statuses.count(500) < 50


def test_a_cut_stream_is_a_connection_error(openai_client: openai.OpenAI, simulator: Running) -> None:
    simulator.fault("cut", after_chunks=3)
    received = []
    stream = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Explain tides"}], stream=True
    )
    with pytest.raises(openai.APIConnectionError):
        received.extend(stream)
    assert len(received) == 3
    assert simulator.last_call()["chunks"] == 3


def test_a_cut_whole_answer_is_incomplete(simulator: Running) -> None:
    simulator.fault("cut")
    with pytest.raises(httpx.RemoteProtocolError):
        simulator.chat()


def test_a_refused_connection_sends_no_byte(simulator: Running) -> None:
    simulator.fault("refuse_connection")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        simulator.chat()


def test_a_stalled_stream_sends_nothing_until_the_client_gives_up(simulator: Running) -> None:
    simulator.fault("stall", after_chunks=2)
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Explain tides"}]}
    frames = []
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.stream(
            "POST", f"{simulator.url}/v1/chat/completions", json=body, headers=BEARER, timeout=0.3
        ) as answer,
    ):
        frames.extend(line for line in answer.iter_lines() if line)
    call = simulator.last_call()
    assert call["aborted"]
    assert call["chunks"] == 2


def test_a_disconnect_stops_generation_and_is_recorded(simulator: Running) -> None:
    simulator.http.post("/_control/speed", json={"speed": 1})
    try:
        body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Explain tides"}]}
        path = f"{simulator.url}/v1/chat/completions"
        with httpx.stream("POST", path, json=body, headers=BEARER, timeout=10) as answer:
            next(answer.iter_lines())
        call = simulator.last_call()
    finally:
        simulator.http.post("/_control/speed", json={"speed": 0})
    whole = simulator.chat(prompt="Explain tides").json()["usage"]["completion_tokens"]
    assert call["aborted"]
    assert call["usage"]["input_tokens"] > 0
    assert call["usage"]["output_tokens"] < whole


def test_malformed_chunks_and_bodies_are_not_json(simulator: Running) -> None:
    simulator.fault("malformed", after_chunks=1)
    for text in (
        simulator.chat(stream=True).text,
        simulator.messages("claude-haiku-4-5", stream=True).text,
        gemini_stream(simulator),
        simulator.responses("gpt-6-luna", stream=True).text,
    ):
        failures = 0
        for line in text.splitlines():
            if line.startswith("data: ") and line != "data: [DONE]":
                try:
                    json.loads(line.removeprefix("data: "))
                except ValueError:
                    failures += 1
        assert failures == 1
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        simulator.chat().json()


def test_wrong_model_and_dropped_usage(simulator: Running) -> None:
    simulator.fault("wrong_model", count=3)
    assert simulator.chat().json()["model"] == "simulated-wrong-model"
    assert simulator.messages("claude-haiku-5-5").json()["model"] == "simulated-wrong-model"
    assert simulator.gemini("gemini-3.8-flash").json()["modelVersion"] == "simulated-wrong-model"
    simulator.fault("drop_usage")
    assert "usage" not in simulator.chat().json()
    assert "usage" not in simulator.messages("claude-haiku-5-5").json()
    assert "usageMetadata" not in gemini_stream(simulator)
    assert simulator.last_call()["usage"]["output_tokens"] > 0


def test_empty_html_and_slow_bodies(simulator: Running) -> None:
    simulator.fault("empty_body", count=1)
    assert simulator.chat().content == b""
    simulator.fault("html_error", count=1)
    page = simulator.chat()
    assert page.status_code == 502
    assert page.headers["content-type"] == "text/html"
    whole = simulator.gemini("gemini-3.8-flash", "Reply with exactly: Grüße 🎉").json()
    simulator.fault("slow_bytes", delay_s=0)
    slow = simulator.gemini("gemini-3.8-flash", "Reply with exactly: Grüße 🎉").json()
    assert slow["candidates"][0]["content"]["parts"][0]["text"] == "Grüße 🎉"
    assert slow["usageMetadata"] == whole["usageMetadata"]


def test_an_error_inside_a_200_stream(
    simulator: Running, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    simulator.fault("error_in_200", after_chunks=2)
    stream = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Explain tides"}], stream=True
    )
    with pytest.raises(openai.APIError, match="The server had an error"):
        list(stream)
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded") as raised,
        anthropic_client.messages.stream(
            model="claude-haiku-4-5", max_tokens=99, messages=[{"role": "user", "content": "Hello"}]
        ) as events,
    ):
        list(events)
    assert raised.value.status_code == 200
    assert '"status":"UNAVAILABLE"' in gemini_stream(simulator)
    assert "event: error" in simulator.responses("gpt-6-luna", stream=True).text


def test_no_done_ends_without_a_finish(simulator: Running) -> None:
    simulator.fault("no_done")
    chat = simulator.chat(stream=True).text
    assert "[DONE]" not in chat
    assert '"finish_reason":"stop"' not in chat
    assert "message_stop" not in simulator.messages("claude-haiku-4-5", stream=True).text
    assert "finishReason" not in gemini_stream(simulator)
    assert "response.completed" not in simulator.responses("gpt-6-luna", stream=True).text


def test_calls_show_usage_and_headers_without_credentials(simulator: Running) -> None:
    usage = simulator.messages("claude-haiku-5-5", "Explain tides").json()["usage"]
    simulator.chat("gpt-4o")
    (call,) = simulator.calls(provider="anthropic")
    assert call["model"] == "claude-haiku-5-5"
    assert call["status"] == 200
    assert not call["streamed"]
    assert call["usage"] == {
        "input_tokens": usage["input_tokens"],
        "cached": 0,
        "cache_write": 0,
        "output_tokens": usage["output_tokens"],
        "reasoning": usage["output_tokens_details"]["thinking_tokens"],
    }
    assert call["headers"]["anthropic-version"] == "2023-06-01"
    assert "x-api-key" not in call["headers"]
    assert call["body"]["messages"][0]["content"] == "Explain tides"
    assert [call["model"] for call in simulator.calls(model="gpt-4o")] == ["gpt-4o"]


def test_control_names_unknown_fields(simulator: Running) -> None:
    assert simulator.http.get("/_control/health").json()["status"] == "ok"
    assert simulator.http.post("/_control/faults", json={"kind": "earthquake"}).status_code == 422
    assert simulator.http.post("/_control/faults", json={"kind": "cut", "when": 1}).status_code == 422
    assert simulator.http.get("/_control/nothing").status_code == 404
    simulator.fault("cut", provider="google", count=1)
    assert simulator.http.get("/_control/faults").json()["faults"][0]["provider"] == "google"


async def test_control_is_for_loopback_only() -> None:
    from routing.simulator.app import create_app

    transport = httpx.ASGITransport(app=create_app(), client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
        assert (await client.get("/_control/calls")).status_code == 403


def test_provider_prefixes_mean_the_same(simulator: Running) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    assert simulator.http.post("/openai/v1/chat/completions", json=body, headers=BEARER).status_code == 200
    listed = simulator.http.get("/google/v1/models", headers={"x-goog-api-key": "key"}).json()
    assert listed["models"]
    assert simulator.http.post("/google/v1/messages", json=body).status_code == 404
    assert simulator.http.post("/v1/nothing", json=body).status_code == 404


def test_the_command_prints_one_line_and_serves() -> None:
    command = [sys.executable, "-m", "routing.simulator", "--port", "0", "--speed", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline().strip()
        url = line.removeprefix("simulator listening on ")
        assert httpx.get(f"{url}/_control/health").status_code == 200
        process.terminate()
        assert process.stdout.read() == ""
        process.wait(10)
    finally:
        process.kill()


def test_the_command_says_when_the_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "routing.simulator", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_a_delay_comes_before_the_first_byte(simulator: Running) -> None:
    simulator.fault("delay", delay_s=30, count=1)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{simulator.url}/v1/chat/completions", json=body, headers=BEARER, timeout=0.2)
    call = simulator.last_call()
    assert call["aborted"]
    assert call["status"] is None
    assert simulator.chat().status_code == 200
