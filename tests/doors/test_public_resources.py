"""Endpoints that need no key: estimates, enhancement and models."""

from typing import Any

import httpx
import pytest


@pytest.fixture
def anyone(server: str) -> httpx.Client:
    """A client without a key."""
    return httpx.Client(base_url=server, timeout=20)


def data(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["success"] is True
    assert set(body["meta"]) == {"request_id", "timestamp"}
    return body["data"]


QUESTION = [{"role": "user", "content": "Write a blog post about AI"}]


def test_an_estimate_without_a_model_is_of_a_cheap_one(anyone: httpx.Client) -> None:
    estimate = data(anyone.post("/api/v1/chat/estimate", json={"messages": QUESTION}))
    assert estimate["max_output_tokens"] == 4096
    assert estimate["total_tokens"] == estimate["input_tokens"] + 4096
    assert 0 < estimate["estimated_cost_usd"] < 0.005
    assert estimate["confidence"] in ("high", "medium", "low")


def test_an_estimate_of_a_model_uses_its_prices(anyone: httpx.Client) -> None:
    body = {"messages": QUESTION, "model": "gpt-4o", "max_output_tokens": 1000}
    estimate = data(anyone.post("/api/v1/chat/estimate", json=body))
    assert estimate["model"] == "gpt-4o"
    assert estimate["pricing"] == {"input_per_1k": 0.0025, "output_per_1k": 0.01}
    assert estimate["estimated_cost_usd"] == pytest.approx(
        0.01 + estimate["input_tokens"] * 0.0000025, abs=1e-9
    )


def test_an_estimate_of_a_retired_model_is_of_its_successor_and_says_so(anyone: httpx.Client) -> None:
    estimate = data(
        anyone.post("/api/v1/chat/estimate", json={"messages": QUESTION, "model": "gpt-4.1-nano"})
    )
    assert estimate["model"] != "gpt-4.1-nano"
    assert "retired" in estimate["note"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("estimate", {}, "messages"),
        ("estimate", {"messages": QUESTION, "max_output_tokens": 0}, "max_output_tokens"),
        ("estimate", {"messages": QUESTION, "strategy": "best"}, "strategy"),
        ("estimate", {"messages": QUESTION, "model": 7}, "model"),
        ("estimate", {"messages": QUESTION, "nonsense": 1}, "nonsense"),
        ("enhance", {}, "prompt"),
        ("enhance", {"prompt": 1}, "prompt"),
        ("enhance", {"prompt": "x", "nonsense": 1}, "nonsense"),
    ],
)
def test_bad_input_is_named(anyone: httpx.Client, path: str, body: dict[str, Any], field: str) -> None:
    response = anyone.post(f"/api/v1/chat/{path}", json=body)
    assert response.status_code == 400
    assert field in [detail["field"] for detail in response.json()["error"]["details"]]


def test_an_unknown_model_gets_near_matches(anyone: httpx.Client) -> None:
    body = {"messages": QUESTION, "model": "claude-hiaku-5-5"}
    error = anyone.post("/api/v1/chat/estimate", json=body).json()["error"]
    assert error["code"] == "invalid_model"
    assert "claude-haiku-5-5" in error["details"]["near_matches"]


def test_enhance_says_what_it_did(anyone: httpx.Client) -> None:
    enhancement = data(anyone.post("/api/v1/chat/enhance", json={"prompt": "fix my code"}))
    assert enhancement["changed"]
    assert enhancement["original_prompt"] == "fix my code"
    assert enhancement["query_type"] == "debugging"


def test_the_models_say_all_a_caller_needs(anyone: httpx.Client) -> None:
    models = data(anyone.get("/api/v1/models"))
    luna = next(model for model in models if model["id"] == "gpt-6-luna")
    assert luna["pricing"] == {
        "input_per_1k": 0.0001,
        "output_per_1k": 0.0005,
        "cached_input_per_1k": 0.00001,
    }
    assert luna["capabilities"] == {
        "streaming": True,
        "functions": True,
        "vision": True,
        "json_schema": True,
        "reasoning": True,
    }
    assert (luna["tier"], luna["health"], luna["deprecated"]) == ("default", "healthy", False)
    old = next(model for model in models if model["id"] == "gpt-4o")
    assert (old["deprecated"], old["deprecation_date"][4:]) == (True, "-01-14")


def test_openais_list_starts_with_smart_routing(anyone: httpx.Client) -> None:
    listed = anyone.get("/v1/models").json()
    assert listed["object"] == "list"
    assert listed["data"][0]["id"] == "routeplex-ai"
    assert anyone.get("/v1/models/routeplex-ai").json()["id"] == "routeplex-ai"
    assert anyone.get("/v1/models/openai/gpt-4o").json()["id"] == "gpt-4o"


def test_an_unknown_model_is_openais_404(anyone: httpx.Client) -> None:
    response = anyone.get("/v1/models/nobody-knows")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_a_bad_key_is_ignored(anyone: httpx.Client) -> None:
    assert anyone.get("/api/v1/models", headers={"Authorization": "Bearer nonsense"}).status_code == 200
