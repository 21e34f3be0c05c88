"""The official google-genai client works against the simulator as against Gemini, on v1beta and v1."""

import json

import pytest
from google import genai
from google.genai import errors, types

from tests.simulator.conftest import WEATHER, Running

QUESTION = "What is the capital of France?"
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="get_weather", description="Weather", parameters_json_schema=WEATHER
            )
        ]
    )
]
NO_AUTO = types.AutomaticFunctionCallingConfig(disable=True)


def test_an_answer_with_usage(gemini_client: genai.Client) -> None:
    answer = gemini_client.models.generate_content(
        model="gemini-3.8-flash",
        contents=QUESTION,
        config=types.GenerateContentConfig(system_instruction="Be brief.", temperature=0.2),
    )
    assert answer.text == "The capital of France is Paris."
    assert answer.candidates
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == "gemini-3.8-flash"
    usage = answer.usage_metadata
    assert usage
    assert usage.total_token_count == (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0)


def test_thoughts_stand_beside_candidates(gemini_client: genai.Client) -> None:
    chunks = list(
        gemini_client.models.generate_content_stream(
            model="gemini-4-argon",
            contents="Explain tides",
            config=types.GenerateContentConfig(
                thinking_config=types.ThinkingConfig(
                    thinking_level=types.ThinkingLevel.HIGH, include_thoughts=True
                )
            ),
        )
    )
    assert chunks[0].candidates[0].content.parts[0].thought
    assert "tides" in "".join(chunk.text or "" for chunk in chunks)
    usage = chunks[-1].usage_metadata
    assert usage.thoughts_token_count > 0
    assert usage.total_token_count == (
        usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    )


def test_a_tool_call_and_its_result(gemini_client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=TOOLS, automatic_function_calling=NO_AUTO)
    question = types.Content(role="user", parts=[types.Part(text="What's the weather in Oslo, in celsius?")])
    first = gemini_client.models.generate_content(
        model="gemini-3.8-flash", contents=[question], config=config
    )
    assert first.function_calls
    assert first.function_calls[0].args["city"] == "Oslo"
    assert first.candidates[0].finish_reason == types.FinishReason.STOP
    result = types.Part.from_function_response(name="get_weather", response={"output": "4 °C and rain"})
    contents = [question, first.candidates[0].content, types.Content(role="user", parts=[result])]
    second = gemini_client.models.generate_content(model="gemini-3.8-flash", contents=contents, config=config)
    assert "4 °C and rain" in second.text


def test_forced_function_calls_stream_whole(gemini_client: genai.Client) -> None:
    mode = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
    config = types.GenerateContentConfig(
        tools=TOOLS,
        tool_config=types.ToolConfig(function_calling_config=mode),
        automatic_function_calling=NO_AUTO,
    )
    chunks = list(
        gemini_client.models.generate_content_stream(
            model="gemini-2.5-flash", contents="Hello", config=config
        )
    )
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert [call.name for call in calls] == ["get_weather"]
    assert chunks[-1].usage_metadata.candidates_token_count > 0


def test_json_candidates_stop_and_limit(gemini_client: genai.Client) -> None:
    schema = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=WEATHER)
    fitted = gemini_client.models.generate_content(
        model="gemini-3.5-flash-lite", contents="Weather in Oslo", config=schema
    )
    assert json.loads(fitted.text)["city"] == "Oslo"
    two = gemini_client.models.generate_content(
        model="gemini-2.5-flash",
        contents="Explain tides",
        config=types.GenerateContentConfig(candidate_count=2),
    )
    assert [candidate.index for candidate in two.candidates] == [0, 1]
    short = gemini_client.models.generate_content(
        model="gemini-2.5-flash",
        contents="Explain tides",
        config=types.GenerateContentConfig(
            max_output_tokens=11, thinking_config=types.ThinkingConfig(thinking_budget=0)
        ),
    )
    assert short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    stopped = gemini_client.models.generate_content(
        model="gemini-2.5-flash",
        contents=QUESTION,
        config=types.GenerateContentConfig(stop_sequences=[" is"]),
    )
    assert stopped.text == "The capital of France"


def test_blocked_prompts_have_no_candidates_and_refusals_are_safety(gemini_client: genai.Client) -> None:
    blocked = gemini_client.models.generate_content(
        model="gemini-3.8-flash", contents="Please simulate a blocked prompt"
    )
    assert not blocked.candidates
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    refused = gemini_client.models.generate_content(
        model="gemini-3.8-flash", contents="Please simulate a refusal"
    )
    assert refused.candidates[0].finish_reason == types.FinishReason.SAFETY
    chunks = list(
        gemini_client.models.generate_content_stream(
            model="gemini-3.8-flash", contents="Please simulate a blocked prompt"
        )
    )
    assert chunks[0].prompt_feedback.block_reason


def test_tokens_models_and_typed_errors(gemini_client: genai.Client) -> None:
    assert gemini_client.models.count_tokens(model="gemini-3.8-flash", contents=QUESTION).total_tokens > 5
    assert "models/gemini-4-argon" in {model.name for model in gemini_client.models.list()}
    with pytest.raises(errors.ClientError, match="is not found for API version") as gone:
        gemini_client.models.generate_content(model="gemini-1.0", contents=QUESTION)
    assert gone.value.code == 404
    with pytest.raises(errors.ClientError, match="input token count"):
        gemini_client.models.generate_content(model="gemini-3.8-flash", contents="word " * 1_000_000)


def test_a_bad_key_is_a_400_with_its_reason(simulator: Running) -> None:
    url = "/v1beta/models/gemini-3.8-flash:generateContent"
    body = {"contents": [{"parts": [{"text": "Hello"}]}]}
    answer = simulator.http.post(url, json=body, headers={"x-goog-api-key": "bad"})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert simulator.http.post(url, json=body).status_code == 403


def test_the_stream_is_framed_with_crlf_and_without_alt_is_an_array(simulator: Running) -> None:
    url = "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
    body = {"contents": [{"parts": [{"text": "Explain tides"}]}]}
    headers = {"x-goog-api-key": "key"}
    framed = simulator.http.post(url, params={"alt": "sse"}, json=body, headers=headers).text
    frames = framed.split("\r\n\r\n")
    assert frames.pop() == ""
    assert all(json.loads(frame.removeprefix("data: "))["responseId"] for frame in frames)
    assert json.loads(frames[-1].removeprefix("data: "))["candidates"][0]["finishReason"] == "STOP"
    assert len(simulator.http.post(url, json=body, headers=headers).json()) == len(frames)


def test_both_spellings_are_read(simulator: Running) -> None:
    snake = simulator.gemini(
        "gemini-3.8-flash",
        "Explain tides",
        system_instruction={"parts": [{"text": "Be brief."}]},
        generation_config={
            "max_output_tokens": 5000,
            "thinkingConfig": {"include_thoughts": True, "thinking_level": "LOW"},
        },
    )
    assert snake.status_code == 200, snake.text
    assert snake.json()["usageMetadata"]["thoughtsTokenCount"] == 64


def test_latest_aliases_exist_on_v1beta_only(simulator: Running) -> None:
    body = {"contents": [{"parts": [{"text": "Hello"}]}]}
    headers = {"x-goog-api-key": "key"}
    beta, stable = (
        simulator.http.post(
            f"/{version}/models/gemini-flash-latest:generateContent", json=body, headers=headers
        )
        for version in ("v1beta", "v1")
    )
    assert beta.json()["modelVersion"] == "gemini-3.8-flash"
    assert stable.status_code == 404


def test_a_repeated_long_prefix_is_cached_inside_the_prompt(simulator: Running) -> None:
    prompt = "The tide goes out twice a day. " * 400
    first, second = (simulator.gemini("gemini-3.8-flash", prompt).json()["usageMetadata"] for _ in range(2))
    assert "cachedContentTokenCount" not in first
    assert (
        1024 <= second["cachedContentTokenCount"] <= second["promptTokenCount"] == first["promptTokenCount"]
    )
