"""Clients reach the API from browsers, with packed or cut bodies, by HEAD, and with a wrong base URL."""

import base64
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import anthropic
import httpx
import pytest

from tests.conftest import Simulator
from tests.doors.conftest import Door

ORIGIN = {"Origin": "https://app.example.com"}
PREFLIGHT = ORIGIN | {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


@pytest.fixture
def anyone(server: str) -> Any:
    with httpx.Client(base_url=server) as client:
        yield client


# Browsers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/messages", "/api/v1/requests"])
def test_a_page_of_another_origin_may_ask_first(anyone: httpx.Client, path: str) -> None:
    answer = anyone.options(path, headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_answers_and_errors_can_be_read_there(door: Door, anyone: httpx.Client) -> None:
    assert door.ask(ORIGIN).headers["access-control-allow-origin"] == "*"
    assert "*" in door.ask(ORIGIN, stream=True).headers["access-control-expose-headers"]
    refused = anyone.post(door.path, json=door.body(), headers=ORIGIN)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert "access-control-allow-origin" not in door.ask().headers


def test_only_allowed_origins_may_call(openai_door: Door, anyone: httpx.Client, settings: Any) -> None:
    settings.CORS_ORIGINS = ["https://app.example.com"]
    allowed = anyone.options(openai_door.path, headers=PREFLIGHT).headers
    assert allowed["access-control-allow-origin"] == "https://app.example.com"
    strange = PREFLIGHT | {"Origin": "https://other.example"}
    assert "access-control-allow-origin" not in anyone.options(openai_door.path, headers=strange).headers
    assert "access-control-allow-origin" not in openai_door.ask({"Origin": "https://other.example"}).headers
    settings.CORS_ORIGINS = []
    assert "access-control-allow-origin" not in openai_door.ask(ORIGIN).headers


def test_pages_are_not_open_to_other_origins(anyone: httpx.Client) -> None:
    assert "access-control-allow-origin" not in anyone.get("/", headers=ORIGIN).headers


# Bodies


def packed(door: Door, encoding: str, content: bytes) -> httpx.Response:
    return door.send(content, {"Content-Encoding": encoding})


def test_packed_bodies_are_read(door: Door) -> None:
    plain = json.dumps(door.body()).encode()
    for encoding, content in (("gzip", gzip.compress(plain)), ("deflate", zlib.compress(plain))):
        assert packed(door, encoding, content).status_code == 200


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip"])
def test_other_encodings_are_refused_as_what_they_are(door: Door, encoding: str) -> None:
    response = packed(door, encoding, b"(\xb5/\xfd")
    assert (response.status_code, door.code(response)) == (415, "unsupported_media_type")
    assert response.headers["accept-encoding"] == "gzip, deflate"


def test_damaged_packed_bodies_are_named(door: Door) -> None:
    whole = gzip.compress(json.dumps(door.body()).encode())
    for content in (b"not gzip", whole[:-9]):
        response = packed(door, "gzip", content)
        assert (response.status_code, door.code(response)) == (400, "bad_request")
        assert "gzip" in response.text


def test_a_packed_body_is_unpacked_up_to_the_limit(openai_door: Door, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 100_000
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    response = packed(openai_door, "gzip", bomb)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 20_000_000
    assert (response.status_code, openai_door.code(response)) == (413, "payload_too_large")


def test_equal_requests_are_equal_however_they_are_packed(openai_door: Door) -> None:
    plain = json.dumps(openai_door.body()).encode()
    key = {"Idempotency-Key": "packed-1", "Content-Encoding": "gzip"}
    first = openai_door.send(gzip.compress(plain, mtime=1), key)
    again = openai_door.send(gzip.compress(plain, mtime=2), key)
    assert (again.status_code, again.headers.get("idempotency-replayed")) == (200, "true")
    assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize("text", [r"cut \ud83d", r"cut \udc8d here", r"\ud83d\ud83d\ude00", r"\\\ud83d"])
def test_half_a_surrogate_pair_is_named(door: Door, text: str) -> None:
    body = json.dumps(door.body()).replace("What is the capital of France?", "TEXT").replace("TEXT", text)
    response = door.send(body.encode())
    assert (response.status_code, door.code(response)) == (400, "bad_request")
    assert "half of a surrogate pair" in response.text


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud83d", r"\\\\udc8d"])
def test_whole_pairs_and_escaped_backslashes_are_taken(door: Door, text: str) -> None:
    body = json.dumps(door.body()).replace("What is the capital of France?", text)
    assert door.send(body.encode()).status_code == 200


# HEAD and wrong addresses


@pytest.mark.parametrize(
    "path", ["/v1/models", "/api/v1/models", "/v1/models/gpt-4.1", "/healthz", "/readyz"]
)
def test_head_is_a_get_without_a_body(http: httpx.Client, path: str) -> None:
    response = http.head(path)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/chat/completions", "lacks /v1"),
        ("/responses", "lacks /v1"),
        ("/messages", "Anthropic's clients add /v1/messages"),
        ("/v1/v1/chat/completions", "holds a part of the path already"),
        ("/v1/chat/completions/chat/completions", "holds a part of the path already"),
        ("/v1/v1/messages", "Anthropic's clients add /v1/messages"),
        ("/v1/messages/v1/messages", "Anthropic's clients add /v1/messages"),
        ("//v1/chat/completions", "two slashes"),
        ("/openai/deployments/gpt-4.1/chat/completions", "Azure"),
        ("/openai/v1/responses", "Azure"),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "Google's API"),
        ("/v1/embeddings", "no embeddings"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_base_url_is_answered_with_the_right_one(
    http: httpx.Client, path: str, advice: str, method: str
) -> None:
    response = http.build_request(method, "/", json={"model": "auto"})
    answer = http.send(
        httpx.Request(
            method,
            f"{str(http.base_url).rstrip('/')}{path}",
            headers=response.headers,
            content=response.content,
        )
    )
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert advice in answer.json()["error"]["message"]


# The lists of models


def test_openais_list_begins_with_smart_routing(anyone: httpx.Client) -> None:
    models = anyone.get("/v1/models").json()["data"]
    smart = ["routeplex-ai", "auto"]
    smart += [f"routeplex-ai:{strategy}" for strategy in ("balanced", "cost", "quality", "speed")]
    assert [model["id"] for model in models[:6]] == smart
    priced = next(model for model in models if model["id"] == "gpt-4.1")
    assert priced["context_window"] > 0
    assert priced["pricing"].keys() == {"input_per_1k", "output_per_1k", "cached_input_per_1k"}
    for name in smart:
        assert anyone.get(f"/v1/models/{name}").json()["id"] == name


def test_anthropics_list_has_pages(server: str, api_key: str, anyone: httpx.Client) -> None:
    client = anthropic.Anthropic(base_url=server, api_key=api_key, max_retries=0)
    every = [model.id for model in client.models.list()]
    assert [model.id for model in client.models.list(limit=7)] == every
    page = client.models.list(limit=2)
    assert (len(page.data), page.has_more) == (2, True)
    before = client.models.list(limit=1, before_id=every[3])
    assert [model.id for model in before.data] == [every[2]]
    headers = {"anthropic-version": "2023-06-01"}
    for wrong in ("0", "x", "1001"):
        refused = anyone.get("/v1/models", params={"limit": wrong}, headers=headers)
        assert refused.json()["error"]["details"]["param"] == "limit"


def test_a_key_of_certain_models_lists_them(anyone: httpx.Client, account: Any) -> None:
    from accounts.keys import create_key

    _, secret = create_key(account=account, name="k", allowed_models=["gpt-4.1", "claude-haiku-4-5"])
    listed = anyone.get("/v1/models", headers={"Authorization": f"Bearer {secret}"}).json()["data"]
    assert {model["id"] for model in listed} == {"routeplex-ai", "gpt-4.1", "claude-haiku-4-5"}


# Images, and what OpenAI's clients read

JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(600) + b"\xff\xd9").decode()


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-6.2-sol", "claude-sonnet-4-5", "gemini-2.5-flash"])
def test_an_image_is_sent_as_what_its_bytes_are(openai_door: Door, simulator: Simulator, model: str) -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{JPEG}"}}
    answer = openai_door.ask(model=model, messages=[{"role": "user", "content": [part]}])
    assert answer.status_code == 200, answer.text
    sent = json.dumps(simulator.calls()[-1]["body"])
    assert ("image/jpeg" in sent, "image/png" in sent) == (True, False)
    receipt = answer.json()["x_routeplex"]["fidelity"]["parameters"]
    assert "image/png is sent as image/jpeg" in receipt[0]["change"]


def test_an_image_of_a_tool_result_is_sent_as_what_its_bytes_are(http: httpx.Client) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": JPEG}}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "shot", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [image]}]},
    ]
    body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages}
    assert http.post("/v1/messages", json=body).status_code == 200


def test_completions_have_a_system_fingerprint(openai_door: Door) -> None:
    assert openai_door.ask().json()["system_fingerprint"] is None
    assert all(
        event["system_fingerprint"] is None for event in openai_door.events(openai_door.ask(stream=True))
    )


def test_a_suspended_key_says_why(anyone: httpx.Client, account: Any) -> None:
    from datetime import UTC, datetime

    from accounts.keys import create_key

    key, secret = create_key(account=account, name="k")
    key.suspended_at = datetime.now(UTC)
    key.save(update_fields=["suspended_at"])
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    refused = anyone.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "resume it on the page Keys" in refused.json()["error"]["message"]
