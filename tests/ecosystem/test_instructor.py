"""instructor: an `openai` client made to answer with types."""

from collections.abc import Iterable
from typing import Literal

import instructor
import openai
import pytest
from pydantic import BaseModel


class City(BaseModel):
    """A city and how many people live in it."""

    name: str
    people: int


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str
    unit: Literal["celsius", "fahrenheit"] = "celsius"


ASK = [{"role": "user", "content": "Describe Paris as a city."}]


@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA])
def test_a_structured_answer(model: str, mode: instructor.Mode) -> None:
    client = instructor.from_openai(openai.OpenAI(), mode=mode)
    answer = client.chat.completions.create(model=model, response_model=City, messages=ASK)
    assert isinstance(answer, City)
    turns = [
        {"role": "assistant", "content": answer.model_dump_json()},
        {"role": "user", "content": "Describe London as a city."},
    ]
    second = client.chat.completions.create(model=model, response_model=City, messages=[*ASK, *turns])
    assert isinstance(second, City)


def test_a_tool_call_as_a_type(model: str) -> None:
    client = instructor.from_openai(openai.OpenAI(), mode=instructor.Mode.PARALLEL_TOOLS)
    messages = [{"role": "user", "content": "What is the weather in Paris? Use the get weather tool."}]
    answer = client.chat.completions.create(
        model=model, response_model=Iterable[GetWeather], messages=messages
    )
    assert [type(call) for call in answer] == [GetWeather]


async def test_partial_answers_stream(model: str) -> None:
    client = instructor.from_openai(openai.AsyncOpenAI(), mode=instructor.Mode.JSON_SCHEMA)
    last = None
    async for part in client.chat.completions.create_partial(model=model, response_model=City, messages=ASK):
        last = part
    assert isinstance(last, City)
    assert last.name
