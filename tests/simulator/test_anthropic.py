"""The official anthropic client works against the simulator as against Anthropic."""

import anthropic
import pytest

from tests.simulator.conftest import WEATHER, Running

TOOL = {"name": "get_weather", "description": "Weather", "input_schema": WEATHER}
QUESTION = "What is the capital of France?"


def ask(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_a_message_with_usage_and_headers(anthropic_client: anthropic.Anthropic, simulator: Running) -> None:
    raw = anthropic_client.messages.with_raw_response.create(
        model="claude-haiku-5-5", max_tokens=200, system="Be brief.", messages=ask(QUESTION)
    )
    message = raw.parse()
    assert message.content[0].type == "text"
    assert message.content[0].text == "The capital of France is Paris."
    assert message.stop_reason == "end_turn"
    assert message.id.startswith("msg_")
    assert raw.headers["request-id"] == simulator.last_call()["request_id"]
    assert raw.headers["anthropic-ratelimit-requests-limit"]
    counted = anthropic_client.messages.count_tokens(
        model="claude-haiku-5-5", system="Be brief.", messages=ask(QUESTION)
    )
    assert counted.input_tokens == message.usage.input_tokens


def test_the_stream_helper_and_its_events(anthropic_client: anthropic.Anthropic, simulator: Running) -> None:
    with anthropic_client.messages.stream(
        model="claude-opus-4-8", max_tokens=900, messages=ask("Explain tides")
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert "tides" in final.content[0].text
    assert final.stop_reason == "end_turn"
    used = simulator.last_call()["usage"]
    assert (final.usage.input_tokens, final.usage.output_tokens) == (
        used["input_tokens"],
        used["output_tokens"],
    )
    assert "event: ping" in simulator.messages("claude-opus-4-8", QUESTION, stream=True).text


def test_a_tool_call_streams_and_its_result_is_quoted(anthropic_client: anthropic.Anthropic) -> None:
    messages = ask("What's the weather in Oslo for 3 days, in celsius?")
    with anthropic_client.messages.stream(
        model="claude-sonnet-5-5", max_tokens=2000, messages=messages, tools=[TOOL]
    ) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    call = next(block for block in first.content if block.type == "tool_use")
    assert call.input == {"city": "Oslo", "unit": "celsius", "days": 3}
    messages.append({"role": "assistant", "content": first.content})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "4 °C and rain"}
    messages.append({"role": "user", "content": [result]})
    second = anthropic_client.messages.create(
        model="claude-sonnet-5-5", max_tokens=2000, messages=messages, tools=[TOOL]
    )
    assert "4 °C and rain" in second.content[-1].text


def test_thinking_is_signed_and_bound_to_its_prefix(simulator: Running) -> None:
    first = simulator.messages("claude-opus-5-5", "Explain tides").json()
    thinking = first["content"][0]
    assert thinking["type"] == "thinking"
    assert first["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    history = [*ask("Explain tides"), {"role": "assistant", "content": first["content"]}, *ask("And moons?")]
    assert simulator.messages("claude-opus-5-5", history).status_code == 200
    moved = [*ask("Explain winds"), *history[1:]]
    changed = simulator.messages("claude-opus-5-5", moved)
    assert changed.status_code == 400
    assert "different prefix" in changed.json()["error"]["message"]
    forged = [history[0], {"role": "assistant", "content": [{**thinking, "signature": "x"}]}, history[2]]
    assert "Invalid `signature`" in simulator.messages("claude-opus-5-5", forged).json()["error"]["message"]


def test_cached_tokens_stand_beside_input_tokens(anthropic_client: anthropic.Anthropic) -> None:
    manual = {"type": "text", "text": "Tides follow the moon. " * 400, "cache_control": {"type": "ephemeral"}}

    def usage(question: str) -> anthropic.types.Usage:
        return anthropic_client.messages.create(
            model="claude-haiku-5-5", max_tokens=300, system=[manual], messages=ask(question)
        ).usage

    first, second = usage("When is high tide?"), usage("When is low tide?")
    assert first.cache_creation_input_tokens
    assert first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.input_tokens < 100


def test_json_schema_answers_fit(anthropic_client: anthropic.Anthropic) -> None:
    message = anthropic_client.messages.create(
        model="claude-haiku-5-5",
        max_tokens=900,
        messages=ask("Weather in Oslo in celsius"),
        output_config={"format": {"type": "json_schema", "schema": WEATHER}},
    )
    assert '"city":"Oslo"' in message.content[-1].text


def test_stop_reasons(anthropic_client: anthropic.Anthropic) -> None:
    short = anthropic_client.messages.create(
        model="claude-haiku-4-5", max_tokens=9, messages=ask("Explain tides")
    )
    assert short.stop_reason == "max_tokens"
    assert short.usage.output_tokens == 9
    stopped = anthropic_client.messages.create(
        model="claude-haiku-4-5", max_tokens=99, messages=ask(QUESTION), stop_sequences=[" is"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " is")
    for phrase in ("simulate a refusal", "simulate a blocked prompt"):
        refused = anthropic_client.messages.create(
            model="claude-haiku-4-5", max_tokens=99, messages=ask(f"Please {phrase}")
        )
        assert refused.stop_reason == "refusal"
        assert refused.stop_details


def test_typed_errors(simulator: Running, anthropic_client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-99"):
        anthropic_client.messages.create(model="claude-99", max_tokens=9, messages=ask("Hello"))
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        anthropic_client.with_options(api_key="bad").messages.create(
            model="claude-haiku-5-5", max_tokens=9, messages=ask("Hello")
        )
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: .* tokens > 200000 maximum"):
        anthropic_client.messages.create(
            model="claude-haiku-4-5", max_tokens=9, messages=ask("word " * 230_000)
        )


def test_models_are_listed_with_capabilities(anthropic_client: anthropic.Anthropic) -> None:
    models = {model.id: model for model in anthropic_client.models.list()}
    assert len(models) > 12
    opus = models["claude-opus-5-5"]
    assert opus.lifecycle == "active"
    assert opus.capabilities
    assert opus.capabilities.effort.max.supported
    assert anthropic_client.models.retrieve("claude-haiku-4-5").max_tokens == 64_000
