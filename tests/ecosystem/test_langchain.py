"""LangChain: `ChatOpenAI` by both APIs and `ChatAnthropic`, with only a model, the base URL and the key."""

from functools import partial

import pytest
from conftest import LONG, QUESTION, THANKS, WELCOME
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class City(BaseModel):
    """A city and how many people live in it."""

    name: str
    people: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city, now."""
    return f"It is 21 degrees in {city}."


@pytest.fixture(
    params=[ChatOpenAI, partial(ChatOpenAI, use_responses_api=True), ChatAnthropic],
    ids=["chat", "responses", "messages"],
)
def chat(request: pytest.FixtureRequest, model: str) -> BaseChatModel:
    return request.param(model=model)


def test_a_tool_is_called_and_its_result_used(chat: BaseChatModel) -> None:
    bound = chat.bind_tools([get_weather])
    first = bound.invoke([HumanMessage(QUESTION)])
    (call,) = first.tool_calls
    assert call["name"] == "get_weather"
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    messages = [HumanMessage(QUESTION), first, result]
    answer = bound.invoke(messages)
    assert "21 degrees" in answer.text
    assert answer.usage_metadata["input_tokens"] > 0
    assert bound.invoke([*messages, answer, HumanMessage(THANKS)]).text == WELCOME


def test_a_structured_answer(chat: BaseChatModel) -> None:
    for method in ("json_schema", "function_calling"):
        city = chat.with_structured_output(City, method=method).invoke("Describe Paris as a city.")
        assert isinstance(city, City), method


async def test_a_stream(chat: BaseChatModel) -> None:
    whole = AIMessageChunk("")
    count = 0
    async for chunk in chat.astream(LONG):
        whole, count = whole + chunk, count + 1
    assert len(whole.text) > 100
    assert count > 1
    assert whole.usage_metadata["output_tokens"] > 0
    second = await chat.ainvoke([HumanMessage(LONG), whole, HumanMessage(THANKS)])
    assert second.text == WELCOME


async def test_tool_calls_stream(chat: BaseChatModel) -> None:
    whole = AIMessageChunk("")
    async for chunk in chat.bind_tools([get_weather]).astream(QUESTION):
        whole = whole + chunk
    (call,) = whole.tool_calls
    assert call["name"] == "get_weather"
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    answer = await chat.bind_tools([get_weather]).ainvoke([HumanMessage(QUESTION), whole, result])
    assert "21 degrees" in answer.text
