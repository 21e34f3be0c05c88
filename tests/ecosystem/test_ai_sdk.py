"""Vercel's AI SDK (Node) with its OpenAI-compatible, OpenAI, Anthropic and OpenRouter providers."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import WELCOME


def test_tools_structured_answers_and_streams(node: Callable[..., Any], model: str) -> None:
    for door, result in node("calls.mjs", model).items():
        assert "21 degrees" in result["tool"], door
        assert "21 degrees" in result["streamedTool"], door
        assert result["steps"] == 2, door
        assert result["second"] == WELCOME, door
        assert isinstance(result["structured"]["people"], int), door
        assert len(result["streamed"]) > 100, door
        assert result["parts"] > 1, door
        assert result["tokens"] > 0, door


@pytest.mark.parametrize("model", ["gpt-5-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "auto"])
def test_a_chat_page_with_a_reasoning_model(node: Callable[..., Any], model: str) -> None:
    """Three turns as `useChat` sends them: all messages of the page, reasoning and tool results included."""
    for door, result in node("chat_page.mjs", model).items():
        assert "21 degrees" in result["first"], door
        assert "21 degrees" in result["second"], door
        assert result["third"] == WELCOME, door
        assert result["errors"] == [], door
