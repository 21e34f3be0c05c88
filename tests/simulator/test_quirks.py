"""Each model's rejections, by the catalog's quirks and the providers' own rules, in the real wording."""

from typing import Any

import httpx
import pytest

from routing.simulator.model.models import of_provider
from tests.simulator.conftest import WEATHER, Running

CHAT_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
CLAUDE_TOOL = {"name": "get_weather", "input_schema": WEATHER}
UNION = {"type": "object", "properties": {}, "anyOf": [{"required": ["id"]}, {"required": ["name"]}]}
CUSTOM_TOOL = {"type": "custom", "custom": {"name": "query"}}
MARKED = {
    "role": "user",
    "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}],
}
NEW = "2026-10-21"


def message(answer: httpx.Response) -> str:
    assert answer.status_code >= 400, answer.text
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize(
    ("model", "fields", "param", "words"),
    [
        ("gpt-6-luna", {"max_tokens": 9}, "max_tokens", "Use 'max_completion_tokens' instead"),
        ("gpt-6.2-astra", {"temperature": 0.5}, "temperature", "does not support 0.5 with this model"),
        ("gpt-6.2-astra", {"top_p": 0.5}, "top_p", "is not supported with this model"),
        ("gpt-6.2-astra", {"stop": ["x"]}, "stop", "is not supported with this model"),
        ("gpt-6-luna", {"temperature": 0.5}, "temperature", "does not support"),
        ("gpt-5-mini", {"logprobs": True}, "logprobs", "is not supported"),
        ("gpt-6-luna", {"reasoning_effort": "max"}, "reasoning_effort", "does not support 'max'"),
        ("gpt-6-luna", {"reasoning_effort": "minimal"}, "reasoning_effort", "'none', 'low'"),
        ("gpt-6.2-sol", {"reasoning_effort": "none"}, "reasoning_effort", "does not support 'none'"),
        ("gpt-6-luna", {"reasoning_effort": "huge"}, "reasoning_effort", "Invalid value: 'huge'"),
        ("gpt-4o", {"reasoning_effort": "low"}, None, "Unrecognized request argument supplied"),
        ("gpt-4o", {"verbosity": "low"}, "verbosity", "does not support 'low'"),
        ("gpt-4o", {"max_completion_tokens": 99999}, "max_completion_tokens", "supports at most 16384"),
        ("gpt-4o", {"temperature": 3}, "temperature", "Expected a value <= 2"),
        ("gpt-4o", {"temperature": "hot"}, "temperature", "expected a decimal, but got a string"),
        ("gpt-4o", {"n": 0}, "n", "integer below minimum value"),
        ("gpt-4o", {"stop": list("abcde")}, "stop", "array too long"),
        ("gpt-4o", {"max_token": 9}, "max_token", "Unknown parameter: 'max_token'"),
        ("gpt-4o", {"tool_choice": "required"}, "tool_choice", "only allowed when 'tools' are specified"),
        ("gpt-4o", {"top_logprobs": 2}, "top_logprobs", "must set 'logprobs'"),
        ("gpt-4o", {"stream_options": {}}, "stream_options", "only allowed when 'stream'"),
        ("gpt-4o", {"messages": []}, "messages", "empty array"),
        (
            "gpt-4o",
            {"messages": [{"role": "boss", "content": "x"}]},
            "messages[0].role",
            "Invalid value: 'boss'",
        ),
        ("gpt-4o", {"messages": [{"role": "user", "content": None}]}, "messages.[0].content", "got null"),
        ("gpt-6-luna", {"prediction": {"type": "content", "content": "x"}}, "prediction", "not supported"),
        ("gpt-4o", {"prompt_cache_options": {"ttl": "30m"}}, "prompt_cache_options", "not supported"),
        ("gpt-5.6-luna", {"prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options.ttl", "'12h'"),
        ("gpt-4o", {"messages": [MARKED]}, "prompt_cache_breakpoint", "not supported"),
        ("gpt-4o", {"tools": [CUSTOM_TOOL]}, "tools[0].type", "Invalid value: 'custom'"),
        (
            "gpt-5.2",
            {"tools": [{"type": "custom", "custom": {"name": "x", "format": {"type": "grammar"}}}]},
            "tools[0].custom.format.grammar",
            "Invalid type",
        ),
        ("gpt-4o", {"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, None, "preceeding"),
    ],
)
def test_openai_chat_rejects(
    simulator: Running, model: str, fields: dict[str, Any], param: str | None, words: str
) -> None:
    answer = simulator.chat(model, **fields)
    assert answer.status_code == 400
    assert words in message(answer)
    if param is not None:
        assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("model", "effort", "status"),
    [
        ("gpt-5.6-sol", None, 400),
        ("gpt-5.6-sol", "low", 400),
        ("gpt-5.6-sol", "none", 200),
        ("gpt-5.4", None, 200),  # reasons at none by default
        ("gpt-5.4", "low", 400),
        ("gpt-6.2-astra", None, 400),
        ("gpt-5.2", "low", 200),
        ("gpt-4.1", None, 200),
    ],
)
def test_tools_with_reasoning_need_responses(
    simulator: Running, model: str, effort: str | None, status: int
) -> None:
    fields = {} if effort is None else {"reasoning_effort": effort}
    answer = simulator.chat(model, tools=[CHAT_TOOL], **fields)
    assert answer.status_code == status
    if status == 400:
        assert message(answer) == (
            f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. "
            "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        )


def test_openai_sampling_follows_effort_none(simulator: Running) -> None:
    assert simulator.chat("gpt-6-luna", temperature=0.5, reasoning_effort="none").status_code == 200
    assert simulator.chat("gpt-4o", temperature=0.5, max_tokens=9).status_code == 200


def test_pro_models_are_for_responses_only(simulator: Running) -> None:
    assert "only supported in v1/responses" in message(simulator.chat("gpt-5.5-pro"))
    assert simulator.responses("gpt-5.5-pro").status_code == 200


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (UNION, "must have type 'object' and not have"),
        ({"$ref": "#/$defs/City", "$defs": {"City": {"type": "object"}}}, "must have type 'object'"),
        ({"type": "object"}, "object schema missing properties"),
    ],
    ids=["union", "reference", "no properties"],
)
def test_openai_rejects_tools_without_an_object_at_the_root(
    simulator: Running, schema: dict[str, Any], words: str
) -> None:
    function = {"name": "f", "parameters": schema}
    at_chat = simulator.chat("gpt-4o", tools=[{"type": "function", "function": function}])
    assert words in message(at_chat)
    at_responses = simulator.responses("gpt-6-luna", tools=[{"type": "function", "strict": False} | function])
    assert words in message(at_responses)


def test_responses_rejects_what_chat_has(simulator: Running) -> None:
    assert "Unknown parameter: 'max_tokens'" in message(simulator.responses("gpt-6-luna", max_tokens=9))
    assert "Unknown parameter: 'stop'" in message(simulator.responses("gpt-6-luna", stop=["x"]))
    assert simulator.responses("gpt-6-luna", reasoning={"effort": "max"}).status_code == 200
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}
    strict = simulator.responses("gpt-6-luna", tools=[tool])
    assert "'additionalProperties' is required to be supplied and to be false" in message(strict)
    assert simulator.responses("gpt-6-luna", tools=[{**tool, "strict": False}]).status_code == 200
    orphan = [{"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}]
    assert "No tool output found for function call c1" in message(simulator.responses("gpt-6-luna", orphan))


@pytest.mark.parametrize(
    ("model", "fields", "words"),
    [
        ("claude-opus-5-5", {"temperature": 1}, "`temperature` is not supported on this model"),
        ("claude-haiku-4-5", {"temperature": 2}, "temperature: Input should be less than or equal to 1"),
        ("claude-haiku-4-5", {"max_tokens": 99999}, "max_tokens: 99999 > 64000"),
        ("claude-haiku-4-5", {"max_tokens": None}, "max_tokens: Field required"),
        ("claude-haiku-4-5", {"n": 2}, "n: Extra inputs are not permitted"),
        ("claude-haiku-4-5", {"output_config": {"effort": "low"}}, "does not support the effort parameter"),
        ("claude-opus-4-5", {"output_config": {"effort": "max"}}, "output_config.effort: Input should be"),
        ("claude-opus-5-5", {"thinking": {"type": "disabled"}}, "thinking.type.disabled"),
        ("claude-sonnet-5-5", {"thinking": {"type": "disabled"}}, 'Use "thinking.type.adaptive" or'),
        ("claude-opus-4-8", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "is not supported"),
        (
            "claude-opus-4-5",
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
            "greater than or equal to 1024",
        ),
        ("claude-opus-4-5", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "`max_tokens` must be"),
        ("claude-fable-5-2", {"tools": [CLAUDE_TOOL], "tool_choice": {"type": "any"}}, "tool_choice"),
        ("claude-haiku-4-5", {"tool_choice": {"type": "any"}}, "while providing tools"),
        ("claude-haiku-4-5", {"tools": [{"name": "a b", "input_schema": WEATHER}]}, "tools.0.custom.name"),
        ("claude-haiku-4-5", {"tools": [{"name": "f", "input_schema": {}}]}, "input_schema.type"),
        ("claude-haiku-4-5", {"tools": [{"name": "f", "input_schema": UNION}]}, "does not support oneOf"),
        ("claude-haiku-4-5", {"stop_sequences": ["\n"]}, "must contain non-whitespace"),
        ("claude-haiku-4-5", {"messages": []}, "at least one message is required"),
        ("claude-haiku-4-5", {"system": [{"type": "text", "text": ""}]}, "must be non-empty"),
    ],
)
def test_anthropic_rejects(simulator: Running, model: str, fields: dict[str, Any], words: str) -> None:
    answer = simulator.messages(model, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert words in message(answer)


@pytest.mark.parametrize("model", [model.id for model in of_provider("anthropic")])
def test_the_new_version_takes_no_sampling_on_any_model(simulator: Running, model: str) -> None:
    assert "temperature" in message(simulator.messages(model, version=NEW, temperature=1))
    assert simulator.messages(model, version=NEW).status_code == 200


def test_anthropic_versions_and_sampling(simulator: Running) -> None:
    assert simulator.messages("claude-sonnet-4-6", temperature=0.5).status_code == 200
    assert "not a valid version" in message(simulator.messages("claude-haiku-4-5", version="2020-01-01"))
    assert "header is required" in message(simulator.messages("claude-haiku-4-5", version=""))


def test_forced_tools_work_where_allowed(simulator: Running) -> None:
    answer = simulator.messages("claude-haiku-5-5", tools=[CLAUDE_TOOL], tool_choice={"type": "any"})
    assert answer.json()["stop_reason"] == "tool_use"


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "rain"}
TEXT = {"type": "text", "text": "So?"}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "user", "content": "a"}, USE], None),
        ([{"role": "user", "content": "a"}, USE, {"role": "user", "content": [RESULT, TEXT]}], ""),
        ([{"role": "user", "content": "a"}, USE, {"role": "user", "content": [TEXT, RESULT]}], None),
        ([{"role": "user", "content": "a"}, USE, {"role": "user", "content": "no result"}], None),
        ([{"role": "user", "content": [RESULT]}], "unexpected `tool_use_id` found"),
        ([{"role": "user", "content": ""}], "must have non-empty content"),
        ([{"role": "user", "content": [{"type": "text", "text": " "}]}], "non-whitespace text"),
        (
            [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}],
            'must use the "user" role',
        ),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], 'Unexpected role "system"'),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}], "trailing whitespace"),
    ],
)
def test_anthropic_message_order(simulator: Running, messages: list[Any], words: str | None) -> None:
    answer = simulator.messages("claude-haiku-4-5", messages, tools=[CLAUDE_TOOL])
    if words == "":
        assert answer.status_code == 200, answer.text
        return
    expected = "`tool_use` ids were found without `tool_result` blocks immediately after: t1"
    assert (words or expected) in message(answer)


def test_prefill_and_system_turns_depend_on_the_model(simulator: Running) -> None:
    prefill = [{"role": "user", "content": "What is the capital of France?"}]
    prefill.append({"role": "assistant", "content": "The capital"})
    assert "prefill" in message(simulator.messages("claude-opus-4-8", prefill))
    continued = simulator.messages("claude-haiku-4-5", prefill).json()
    assert continued["content"][0]["text"] == " of France is Paris."
    middle = [{"role": "user", "content": "Hello"}, {"role": "system", "content": "Be brief."}, prefill[0]]
    assert simulator.messages("claude-opus-5-5", middle).status_code == 200


@pytest.mark.parametrize(
    ("model", "thinking", "words"),
    [
        ("gemini-3.8-flash", {"thinkingLevel": "MINIMAL"}, "Thinking level MINIMAL is not supported"),
        ("gemini-3.8-flash", {"thinkingBudget": 100}, "Thinking budget is not supported"),
        ("gemini-3.8-flash", {"thinkingLevel": "EXTREME"}, "Invalid value at"),
        ("gemini-2.5-flash", {"thinkingLevel": "LOW"}, "Thinking level is not supported"),
        ("gemini-2.5-pro", {"thinkingBudget": 0}, "Budget 0 is invalid"),
        ("gemini-2.5-pro", {"thinkingBudget": 64}, "between 128 and 32768"),
        ("gemini-2.5-flash", {"thinkingBudget": 1, "thinkingLevel": "LOW"}, "set only one"),
        ("gemini-3.6-flash", {"thinkingLevel": "MINIMAL"}, None),
        ("gemini-2.5-flash", {"thinkingBudget": 0}, None),
    ],
)
def test_gemini_thinking(simulator: Running, model: str, thinking: dict[str, Any], words: str | None) -> None:
    answer = simulator.gemini(model, generationConfig={"thinkingConfig": thinking})
    if words is None:
        assert answer.status_code == 200, answer.text
    else:
        assert words in message(answer)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"contents": []}, "contents is not specified"),
        ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
        ({"generationConfig": {"max_tokens": 9}}, "Unknown name \"maxTokens\" at 'generation_config'"),
        ({"generationConfig": {"temperature": 3}}, "supported range is from 0 (inclusive)"),
        ({"generationConfig": {"temperature": "hot"}}, '(TYPE_FLOAT), "hot"'),
        ({"generationConfig": {"stopSequences": list("abcdef")}}, "at most 5"),
        ({"generationConfig": {"responseJsonSchema": WEATHER}}, "response_mime_type application/json"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": WEATHER}]}]},
            "additionalProperties",
        ),
        ({"tools": [{"functionDeclarations": [{"name": "a b"}]}]}, "Invalid function name"),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": UNION}]}]},
            "should be an OBJECT with non-empty properties",
        ),
    ],
)
def test_gemini_rejects(simulator: Running, fields: dict[str, Any], words: str) -> None:
    answer = simulator.gemini("gemini-3.8-flash", **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert words in message(answer)


def test_gemini_function_turns(simulator: Running) -> None:
    tools = [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": WEATHER}]}]
    question = {"role": "user", "parts": [{"text": "Weather in Oslo?"}]}
    call = {"functionCall": {"name": "get_weather", "args": {}}}
    signed = {**call, "thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}
    result = {"functionResponse": {"name": "get_weather", "response": {"output": "rain"}}}

    def answer(parts: list[Any], results: list[Any]) -> httpx.Response:
        contents = [question, {"role": "model", "parts": parts}, {"role": "user", "parts": results}]
        return simulator.gemini("gemini-3.8-flash", contents, tools=tools)

    assert "missing a thought_signature" in message(answer([call], [result]))
    assert answer([signed], [result]).status_code == 200
    assert answer([signed, call], [result, result]).status_code == 200
    assert "number of function response parts is equal" in message(answer([signed, call], [result]))
    assert "Corrupted thought signature" in message(answer([{**call, "thoughtSignature": "eA=="}], [result]))
    nameless = {"functionResponse": {"response": {"output": "rain"}}}
    assert "Name cannot be empty" in message(answer([signed], [nameless]))
    wrong_role = [{"role": "assistant", "parts": [{"text": "x"}]}]
    assert "valid role: user, model" in message(simulator.gemini("gemini-3.8-flash", wrong_role))


@pytest.mark.parametrize("model", [model.id for model in of_provider("openai")])
def test_every_openai_model_answers_on_responses(simulator: Running, model: str) -> None:
    assert simulator.responses(model, "2 + 2 = ?").status_code == 200


@pytest.mark.parametrize("model", [model.id for model in of_provider("google")])
def test_every_gemini_model_answers(simulator: Running, model: str) -> None:
    assert simulator.gemini(model, "2 + 2 = ?").status_code == 200
