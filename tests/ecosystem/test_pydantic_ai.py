"""pydantic-ai: its models of three APIs, with what the environment says."""

import pytest
from conftest import LONG, QUESTION, THANKS, WELCOME
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel


class City(BaseModel):
    """A city and how many people live in it."""

    name: str
    people: int


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel, AnthropicModel])
def chat(request: pytest.FixtureRequest, model: str) -> Model:
    return request.param(model)


async def test_a_tool_is_called_and_its_result_used(chat: Model) -> None:
    agent, cities = Agent(chat), []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city, now."""
        cities.append(city)
        return f"It is 21 degrees in {city}."

    result = await agent.run(QUESTION)
    assert len(cities) == 1
    assert "21 degrees" in result.output
    assert result.usage.input_tokens > 0
    second = await agent.run(THANKS, message_history=result.all_messages())
    assert second.output == WELCOME


async def test_a_structured_answer(chat: Model) -> None:
    result = await Agent(chat, output_type=ToolOutput(City)).run("Describe Paris as a city.")
    assert isinstance(result.output, City)


@pytest.mark.parametrize("chat", [OpenAIChatModel, OpenAIResponsesModel], indirect=True)
async def test_a_structured_answer_by_its_schema(chat: Model) -> None:
    """On Anthropic's API the client allows this only for Anthropic's own models."""
    result = await Agent(chat, output_type=NativeOutput(City)).run("Describe Paris as a city.")
    assert isinstance(result.output, City)


async def test_a_stream(chat: Model) -> None:
    async with Agent(chat).run_stream(LONG) as run:
        parts = [part async for part in run.stream_text(delta=True, debounce_by=None)]
        history = run.all_messages()
    assert len("".join(parts)) > 100
    assert len(parts) > 1
    async with Agent(chat).run_stream(THANKS, message_history=history) as run:
        assert await run.get_output() == WELCOME
