"""LangChain's `ChatOpenAI` for JavaScript, by both of OpenAI's APIs."""

from collections.abc import Callable
from typing import Any

from conftest import WELCOME


def test_tools_structured_answers_and_streams(node: Callable[..., Any], model: str) -> None:
    for door, result in node("langchain.mjs", model).items():
        assert result["called"] == ["get_weather"], door
        assert "21 degrees" in result["tool"], door
        assert result["second"] == WELCOME, door
        assert isinstance(result["structured"]["people"], int), door
        assert len(result["streamed"]) > 100, door
        assert result["parts"] > 1, door
        assert result["tokens"] > 0, door
