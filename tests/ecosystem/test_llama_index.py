"""LlamaIndex: `OpenAILike` with the base URL and the key."""

import pytest
from conftest import LONG, QUESTION, THANKS, WELCOME
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class City(BaseModel):
    """A city and how many people live in it."""

    name: str
    people: int


def get_weather(city: str) -> str:
    """The weather in a city, now."""
    return f"It is 21 degrees in {city}."


@pytest.fixture
def llm(model: str, address: str, key: str) -> OpenAILike:
    return OpenAILike(
        model=model, api_base=address, api_key=key, is_chat_model=True, is_function_calling_model=True
    )


def test_a_tool_is_called_and_its_result_used(llm: OpenAILike) -> None:
    answer = llm.predict_and_call([FunctionTool.from_defaults(get_weather)], user_msg=QUESTION)
    assert "21 degrees" in str(answer)


def test_a_tool_result_goes_back(llm: OpenAILike) -> None:
    tools = [FunctionTool.from_defaults(get_weather)]
    first = llm.chat_with_tools(tools, user_msg=QUESTION)
    (call,) = llm.get_tool_calls_from_response(first)
    result = ChatMessage(
        role="tool", content=get_weather(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id}
    )
    history = [ChatMessage(role="user", content=QUESTION), first.message, result]
    answer = llm.chat_with_tools(tools, chat_history=history).message
    assert "21 degrees" in str(answer.content)
    second = llm.chat_with_tools(tools, user_msg=THANKS, chat_history=[*history, answer])
    assert second.message.content == WELCOME


def test_a_structured_answer(llm: OpenAILike) -> None:
    city = llm.as_structured_llm(City).complete("Describe Paris as a city.")
    assert isinstance(city.raw, City)


async def test_a_stream(llm: OpenAILike) -> None:
    parts = [part.delta async for part in await llm.astream_chat([ChatMessage(LONG)])]
    assert len("".join(part or "" for part in parts)) > 100
    assert len(parts) > 1
