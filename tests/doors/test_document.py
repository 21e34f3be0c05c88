"""The OpenAPI document describes the chat doors by what they really take."""

import httpx
import pytest


@pytest.fixture
def document(http: httpx.Client) -> dict:
    response = http.get("/api/v1/openapi.json", headers={"Authorization": ""})
    assert response.status_code == 200
    return response.json()


@pytest.mark.parametrize("path", ["/api/v1/chat", "/v1/chat/completions"])
def test_the_chat_doors_are_described(document: dict, path: str) -> None:
    operation = document["paths"][path]["post"]
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
    assert schema["required"][0] == "messages"
    assert schema["properties"]["messages"]["maxItems"] == 1000
    assert (
        schema["properties"]["temperature"]["minimum"],
        schema["properties"]["temperature"]["maximum"],
    ) == (0, 2)
    assert {"200", "400", "401", "413", "429", "503"} <= set(operation["responses"])
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}


def test_the_messages_door_is_described(document: dict) -> None:
    operation = document["paths"]["/v1/messages"]["post"]
    schema = document["components"]["schemas"]["Messages"]
    assert {"messages", "model", "max_tokens"} == set(schema["required"])
    assert (
        schema["properties"]["temperature"]["minimum"],
        schema["properties"]["temperature"]["maximum"],
    ) == (0, 1)
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert "post" in document["paths"]["/v1/messages/count_tokens"]


def test_the_responses_door_is_described(document: dict) -> None:
    operation = document["paths"]["/v1/responses"]["post"]
    schema = document["components"]["schemas"]["Responses"]
    assert {"input", "model"} == set(schema["required"])
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
