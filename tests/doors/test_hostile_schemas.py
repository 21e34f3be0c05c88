"""Small schemas that describe huge things: they are answered in seconds, and other callers do not wait."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.doors.conftest import MESSAGES

MOST_S = 10  # each took minutes, or all memory


def _doubling(combination: str) -> dict[str, Any]:
    """30 definitions, each of two references to the next: a billion branches."""
    definitions: dict[str, Any] = {
        f"d{n}": {combination: [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(30)
    }
    definitions["d30"] = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {combination: [{"$ref": "#/$defs/d0"}], "$defs": definitions}


def _union(branches: int) -> dict[str, Any]:
    """Objects that describe one property in as many ways."""
    return {"anyOf": [{"properties": {"city": {"const": n}}} for n in range(branches)]}


def _chain(links: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(links)}
    definitions[f"d{links}"] = {"type": "string"}
    city = {"city": {"$ref": "#/$defs/d0"}}
    return {
        "type": "object",
        "properties": city,
        "required": ["city"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _denied(levels: int) -> dict[str, Any]:
    """Keywords that structured outputs of Claude do not take, in each other."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"it's": {"type": "string"}}, "not": schema}
    return schema


def _crowded(links: int) -> dict[str, Any]:
    """Branches that lead through a chain of references, with keywords beside each."""
    definitions: dict[str, Any] = {
        f"d{n}": {"$ref": f"#/$defs/d{n + 1}", **{f"k{n}_{each}": 1 for each in range(200)}}
        for n in range(links)
    }
    definitions[f"d{links}"] = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {"anyOf": [{"$ref": "#/$defs/d0", "title": "a"}] * 190, "$defs": definitions}


SCHEMAS = {
    "doubling unions": _doubling("anyOf"),
    "doubling combinations": _doubling("allOf"),
    "a union of 15,000": _union(15_000),
    "a chain of references": _chain(8_000),
    "nots in each other": _denied(28),
}


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("model", ["claude-opus-5", "gemini-2.5-flash", "gpt-4.1-mini"])
def test_a_hostile_tool_is_answered_in_seconds(server: str, api_key: str, schema: str, model: str) -> None:
    function = {"name": "look", "strict": True, "parameters": SCHEMAS[schema]}
    _in_seconds(server, api_key, model, {"tools": [{"type": "function", "function": function}]})


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_hostile_output_schema_is_answered_in_seconds(server: str, api_key: str, schema: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMAS[schema]}}
    _in_seconds(server, api_key, "claude-opus-5", {"response_format": wanted})


def test_many_large_tools_are_answered_in_seconds(server: str, api_key: str) -> None:
    functions = [{"name": f"look{n}", "parameters": _crowded(18)} for n in range(25)]
    tools = [{"type": "function", "function": function} for function in functions]
    _in_seconds(server, api_key, "gpt-4.1-mini", {"tools": tools})


def _in_seconds(server: str, api_key: str, model: str, fields: dict[str, Any]) -> None:
    body = json.dumps({"model": model, "messages": MESSAGES, **fields})
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    began = time.monotonic()
    response = httpx.post(f"{server}/v1/chat/completions", content=body, headers=headers, timeout=3 * MOST_S)
    assert response.status_code in (200, 400), response.text
    assert len(response.content) < 100_000
    assert time.monotonic() - began < MOST_S
