"""The official clients' helpers, which assemble streams, parse answers and run tools, on every provider."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.conformance import chat, messages
from tests.conformance.matrix import CAPITAL, COLUMNS, DESCRIBE, USE_WEATHER
from tests.conformance.test_matrix import compare

BIN = Path(sys.executable).parent
ANSWER = "The capital of France is Paris."
MODELS = {column: model for column, (model, _) in COLUMNS.items()}


class City(BaseModel):
    name: str
    people: int


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Which city.
    """
    return f"21 degrees in {city}"


def user_turn(content: str) -> Any:
    return [{"role": "user", "content": content}]


def chat_parse(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.parse(model=model, messages=user_turn(DESCRIBE), response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City)


def chat_stream(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=user_turn(DESCRIBE), response_format=City
    ) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert isinstance(answer.choices[0].message.parsed, City)


def responses_parse(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.parse(model=model, input=DESCRIBE, text_format=City)
    assert isinstance(answer.output_parsed, City)


def responses_stream(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input=CAPITAL) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text == ANSWER


def messages_parse(client: anthropic.Anthropic, model: str) -> None:
    answer = client.messages.parse(
        model=model, max_tokens=1024, messages=user_turn(DESCRIBE), output_format=City
    )
    assert isinstance(answer.parsed_output, City)


def messages_stream(client: anthropic.Anthropic, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=1024, messages=user_turn(CAPITAL)) as stream:
        text = "".join(stream.text_stream)
        assert messages.text(stream.get_final_message()) == text == ANSWER


def tool_runner(client: anthropic.Anthropic, model: str) -> None:
    runner = client.beta.messages.tool_runner(
        model=model, max_tokens=1024, messages=user_turn(USE_WEATHER), tools=[get_weather]
    )
    assert "21 degrees in Paris" in messages.text(runner.until_done())


def tool_runner_streamed(client: anthropic.Anthropic, model: str) -> None:
    runner = client.beta.messages.tool_runner(
        model=model, max_tokens=1024, messages=user_turn(USE_WEATHER), tools=[get_weather], stream=True
    )
    last: Any = None
    for stream in runner:
        last = stream.get_final_message()
    assert "21 degrees in Paris" in messages.text(last)


OPENAI: dict[str, Callable[[openai.OpenAI, str], None]] = {
    "`chat.completions.parse`": chat_parse,
    "`chat.completions.stream`": chat_stream,
    "`responses.parse`": responses_parse,
    "`responses.stream`": responses_stream,
}
ANTHROPIC: dict[str, Callable[[anthropic.Anthropic, str], None]] = {
    "`messages.parse`": messages_parse,
    "`messages.stream`": messages_stream,
    "`beta.messages.tool_runner`": tool_runner,
    "`beta.messages.tool_runner`, streamed": tool_runner_streamed,
}


@pytest.mark.parametrize("column", [*COLUMNS, "auto"])
@pytest.mark.parametrize("name", OPENAI)
def test_openais_python_helpers(server: str, api_key: str, name: str, column: str) -> None:
    OPENAI[name](chat.client(server, api_key), MODELS.get(column, column))
    _noted("python helpers", name, column)


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize("column", [*COLUMNS, "auto"])
@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropics_python_helpers(server: str, api_key: str, name: str, column: str) -> None:
    ANTHROPIC[name](messages.client(server, api_key), MODELS.get(column, column))
    _noted("python helpers", name, column)


def test_the_node_clients_helpers(node_modules: Path, server: str, api_key: str) -> None:
    environment = os.environ | {
        "ROUTEPLEX_URL": server,
        "ROUTEPLEX_KEY": api_key,
        "MODELS": ",".join([*MODELS.values(), "auto"]),
    }
    ran = subprocess.run(
        [BIN / "node", "helpers.mjs"],
        cwd=node_modules,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout)
    assert {verdict for by_model in outcome.values() for verdict in by_model.values()} == {"yes"}, outcome
    for name in outcome:
        for column in COLUMNS:
            _noted("node helpers", name, column)


def _noted(table: str, name: str, column: str) -> None:
    if column in COLUMNS:
        compare(table, name, column, "yes")
