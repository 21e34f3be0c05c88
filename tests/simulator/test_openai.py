"""The official openai client works against the simulator, chat and Responses, as against OpenAI."""

import json

import openai
import pytest
from pydantic import BaseModel

from tests.simulator.conftest import WEATHER, Running

CHAT_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": WEATHER},
}
RESPONSES_TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather",
    "parameters": WEATHER,
    "strict": False,
}
QUESTION = "What is the capital of France?"


class City(BaseModel):
    name: str
    country: str
    population: int


def test_chat_answers_a_known_question(openai_client: openai.OpenAI, simulator: Running) -> None:
    raw = openai_client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}]
    )
    completion = raw.parse()
    assert completion.choices[0].message.content == "The capital of France is Paris."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage
    assert (
        completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert raw.headers["x-request-id"] == simulator.last_call()["request_id"]
    assert raw.headers["x-ratelimit-limit-requests"]


def test_the_same_prompt_and_model_give_the_same_answer(simulator: Running) -> None:
    def answer_of(model: str) -> str:
        return simulator.chat(model, "Explain tides").json()["choices"][0]["message"]["content"]

    assert answer_of("gpt-4o") == answer_of("gpt-4o")
    assert answer_of("gpt-4o") != answer_of("gpt-4o-mini")
    assert "gpt-4o" in answer_of("gpt-4o")


def test_chat_stream_has_role_first_and_usage_last(openai_client: openai.OpenAI) -> None:
    stream = openai_client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "The capital of France is Paris."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 7
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_chat_stream_ends_with_done_and_has_usage_on_request_only(simulator: Running) -> None:
    body = simulator.chat(prompt=QUESTION, stream=True).text
    assert body.endswith("data: [DONE]\n\n")
    assert '"usage"' not in body


def test_the_stream_helper_collects_a_completion(openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.stream(
        model="gpt-6-luna", messages=[{"role": "user", "content": "Explain tides"}]
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content


def test_chat_calls_a_tool_and_quotes_its_result(openai_client: openai.OpenAI) -> None:
    messages: list = [{"role": "user", "content": "What's the weather in Oslo for 3 days, in celsius?"}]
    first = openai_client.chat.completions.create(model="gpt-4.1", messages=messages, tools=[CHAT_TOOL])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert message.tool_calls
    call = message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Oslo", "unit": "celsius", "days": 3}
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "4 °C and rain"}]
    second = openai_client.chat.completions.create(model="gpt-4.1", messages=messages, tools=[CHAT_TOOL])
    assert "4 °C and rain" in (second.choices[0].message.content or "")


def test_chat_streams_parallel_tool_calls_in_fragments(openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.stream(
        model="gpt-4.1",
        messages=[{"role": "user", "content": "Compare the weather in Paris and London, in celsius"}],
        tools=[CHAT_TOOL],
    ) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "London"]


def test_parallel_tool_calls_false_gives_one_call(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        model="gpt-4.1",
        messages=[{"role": "user", "content": "Compare the weather in Paris and London"}],
        tools=[CHAT_TOOL],
        parallel_tool_calls=False,
    )
    assert len(completion.choices[0].message.tool_calls or []) == 1


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ("none", 0),
        ("auto", 0),
        ("required", 1),
        ({"type": "function", "function": {"name": "get_weather"}}, 1),
    ],
)
def test_tool_choice_decides_when_the_prompt_does_not(simulator: Running, choice: object, calls: int) -> None:
    body = simulator.chat("gpt-4.1", "Hello", tools=[CHAT_TOOL], tool_choice=choice).json()
    assert len(body["choices"][0]["message"].get("tool_calls", [])) == calls


def test_chat_parse_gives_a_pydantic_model(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.parse(
        model="gpt-5.4-mini",
        messages=[{"role": "user", "content": "Describe the city of Lyon"}],
        response_format=City,
    )
    assert completion.choices[0].message.parsed == City(name="Lyon", country="Lyon", population=1)


def test_json_object_needs_the_word_json(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        openai_client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "A city"}],
            response_format={"type": "json_object"},
        )
    good = openai_client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "A city as json"}],
        response_format={"type": "json_object"},
    )
    assert json.loads(good.choices[0].message.content or "")["simulated"] is True


def test_n_choices_differ_and_are_counted(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Explain tides"}], n=3
    )
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in completion.choices}) > 1


def test_max_tokens_cuts_to_exactly_that_many(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Explain tides"}], max_completion_tokens=11
    )
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage
    assert completion.usage.completion_tokens == 11


def test_a_stop_sequence_ends_the_text_before_it(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}], stop=[" is"]
    )
    assert completion.choices[0].message.content == "The capital of France"
    assert completion.choices[0].finish_reason == "stop"


def test_effort_costs_reasoning_tokens_inside_completion(simulator: Running) -> None:
    def reasoning(effort: str) -> int:
        usage = simulator.chat("gpt-6-luna", "Prove the theorem", reasoning_effort=effort).json()["usage"]
        inside = usage["completion_tokens_details"]["reasoning_tokens"]
        assert inside < usage["completion_tokens"]
        return int(inside)

    assert 0 == reasoning("none") < reasoning("low") < reasoning("high")


def test_logprobs_come_one_a_token(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}], logprobs=True, top_logprobs=2
    )
    logprobs = completion.choices[0].logprobs
    assert logprobs
    assert "".join(entry.token for entry in logprobs.content or []) == "The capital of France is Paris."
    assert all(len(entry.top_logprobs) == 2 for entry in logprobs.content or [])


def test_a_refusal_is_a_message_and_a_blocked_prompt_a_400(openai_client: openai.OpenAI) -> None:
    refused = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Please simulate a refusal"}]
    )
    assert refused.choices[0].message.content is None
    assert refused.choices[0].message.refusal
    with pytest.raises(openai.BadRequestError) as blocked:
        openai_client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Please simulate a blocked prompt"}]
        )
    assert blocked.value.code == "content_policy_violation"


def test_a_repeated_long_prefix_is_cached_inside_prompt_tokens(simulator: Running) -> None:
    prompt = "The tide comes in twice a day. " * 400
    first = simulator.chat("gpt-6-luna", prompt).json()["usage"]
    second = simulator.chat("gpt-6-luna", prompt).json()["usage"]
    other = simulator.chat("gpt-4o", prompt).json()["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert first["prompt_tokens_details"]["cache_write_tokens"] >= 1024
    assert 1024 <= second["prompt_tokens_details"]["cached_tokens"] <= second["prompt_tokens"]
    assert second["prompt_tokens_details"]["cached_tokens"] % 128 == 0
    assert other["prompt_tokens_details"]["cached_tokens"] == 0


def test_an_image_counts_as_tokens(simulator: Running) -> None:
    def prompt_tokens(*extra: object) -> int:
        content = [{"type": "text", "text": "What is this?"}, *extra]
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}
        answer = simulator.http.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k"})
        return int(answer.json()["usage"]["prompt_tokens"])

    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    assert prompt_tokens(picture) - prompt_tokens() == 85


def test_responses_answers_and_streams(openai_client: openai.OpenAI) -> None:
    whole = openai_client.responses.create(model="gpt-6.2-astra", input=QUESTION, reasoning={"effort": "low"})
    assert whole.output_text == "The capital of France is Paris."
    assert whole.status == "completed"
    assert whole.usage
    with openai_client.responses.stream(model="gpt-6.2-astra", input="Explain tides") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert final.output[0].type == "reasoning"
    assert "tides" in final.output_text
    assert final.usage
    assert final.usage.output_tokens_details.reasoning_tokens > 0


def test_responses_calls_a_tool_and_quotes_its_result(openai_client: openai.OpenAI) -> None:
    items: list = [{"role": "user", "content": "What's the weather in Oslo?"}]
    with openai_client.responses.stream(model="gpt-6.2-sol", input=items, tools=[RESPONSES_TOOL]) as stream:
        first = stream.get_final_response()
    call = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments)["city"] == "Oslo"
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    second = openai_client.responses.create(model="gpt-6.2-sol", input=items, tools=[RESPONSES_TOOL])
    assert "rain" in second.output_text


def test_responses_parse_and_incomplete(openai_client: openai.OpenAI) -> None:
    parsed = openai_client.responses.parse(model="gpt-6-luna", input="The city of Lyon", text_format=City)
    assert parsed.output_parsed == City(name="Lyon", country="Lyon", population=1)
    short = openai_client.responses.create(
        model="gpt-6-luna", input="Explain tides", max_output_tokens=20, reasoning={"effort": "none"}
    )
    assert short.status == "incomplete"
    assert short.incomplete_details
    assert short.incomplete_details.reason == "max_output_tokens"
    assert short.usage
    assert short.usage.output_tokens == 20


def test_models_are_the_catalogs(openai_client: openai.OpenAI) -> None:
    ids = {model.id for model in openai_client.models.list()}
    assert "gpt-6-luna" in ids
    assert "claude-haiku-5-5" not in ids
    assert openai_client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_typed_errors(simulator: Running, openai_client: openai.OpenAI) -> None:
    hello: list = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.NotFoundError, match="has been deprecated") as gone:
        openai_client.chat.completions.create(model="gpt-4.1-nano", messages=hello)
    assert gone.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        openai_client.chat.completions.create(model="gpt-99", messages=hello)
    with pytest.raises(openai.AuthenticationError) as caught:
        openai_client.with_options(api_key="bad-key").chat.completions.create(model="gpt-4o", messages=hello)
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError, match="maximum context length is 128000") as long:
        openai_client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "word " * 130_000}]
        )
    assert long.value.code == "context_length_exceeded"
