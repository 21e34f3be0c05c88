"""OpenAI's Agents SDK: agents with a tool and a typed answer, by both of OpenAI's APIs."""

from collections.abc import Callable

import openai
import pytest
from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from conftest import LONG, QUESTION, THANKS, WELCOME
from pydantic import BaseModel

set_tracing_disabled(True)


class City(BaseModel):
    """A city and how many people live in it."""

    name: str
    people: int


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city, now."""
    return f"It is 21 degrees in {city}."


@pytest.fixture(params=[OpenAIChatCompletionsModel, OpenAIResponsesModel], ids=["chat", "responses"])
def chat(request: pytest.FixtureRequest, model: str) -> Model:
    build: Callable[..., Model] = request.param
    return build(model=model, openai_client=openai.AsyncOpenAI())


async def test_a_tool_is_called_and_its_result_used(chat: Model) -> None:
    agent, session = Agent(name="Weather", model=chat, tools=[get_weather]), SQLiteSession("weather")
    assert "21 degrees" in (await Runner.run(agent, QUESTION, session=session)).final_output
    assert (await Runner.run(agent, THANKS, session=session)).final_output == WELCOME


async def test_a_structured_answer(chat: Model) -> None:
    agent = Agent(name="Atlas", model=chat, output_type=City)
    assert isinstance((await Runner.run(agent, "Describe Paris as a city.")).final_output, City)


async def test_a_stream(chat: Model) -> None:
    run = Runner.run_streamed(Agent(name="Teacher", model=chat), LONG)
    parts = [
        event.data.delta
        async for event in run.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(parts) == run.final_output
    assert len(parts) > 1


async def test_a_streamed_tool_loop_with_a_second_turn(chat: Model) -> None:
    agent = Agent(name="Weather", model=chat, tools=[get_weather])
    first = Runner.run_streamed(agent, QUESTION)
    assert [event.type async for event in first.stream_events()]
    assert "21 degrees" in first.final_output
    history = [*first.to_input_list(), {"role": "user", "content": THANKS}]
    second = Runner.run_streamed(agent, history)
    assert [event.type async for event in second.stream_events()]
    assert second.final_output == WELCOME
