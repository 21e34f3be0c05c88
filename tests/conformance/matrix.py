"""The conformance matrix: every feature, on every provider's API, streamed and not, by the official client.

A cell is a real request. It says `yes` (honoured), `adapted` (in another form, told in the receipt),
`told` (dropped, told in the receipt), `auto` (refused to this model, because under Smart Routing it is no
candidate), or the code of the typed error that refuses it. What an answer shows must fit what the cell says.
"""

import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai
from openai import OpenAI
from openai.types.chat import ChatCompletion

# What answers, and the wire it is asked by.
COLUMNS = {
    "OpenAI Chat": ("gpt-4.1", "openai_chat"),
    "OpenAI Responses": ("gpt-5.4-pro", "openai_responses"),
    "Anthropic": ("claude-sonnet-4-5", "anthropic"),
    "Gemini": ("gemini-2.5-flash", "gemini"),
}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
)
PDF += b"3 0 obj<</Type/Page/MediaBox[0 0 9 9]/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00"
WAV += b"\x02\x00\x10\x00data\x00\x00\x00\x00"

Check = Callable[[ChatCompletion], bool]


@dataclass(frozen=True)
class Feature:
    """`parameters`: those of the receipt that concern it; `check`: what the answer must show if kept."""

    name: str
    fields: dict[str, Any]
    parameters: tuple[str, ...] = ()
    check: Check = lambda answer: bool(answer.choices[0].message.content)


@dataclass
class Seen:
    """One cell: its verdict, and the completion there was."""

    verdict: str
    answer: ChatCompletion | None = None
    told: list[dict[str, Any]] = field(default_factory=list)


def said(content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content, **more}]


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


WEATHER, CLOCK = tool("get_weather", city={"type": "string"}), tool("get_clock", zone={"type": "string"})
ASK_WEATHER = said("What is the weather in Paris? Use the get weather tool.")
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}


def called(*names: str) -> Check:
    return lambda answer: (
        sorted(call.function.name for call in answer.choices[0].message.tool_calls or []) == sorted(names)
    )


def says(words: str) -> Check:
    return lambda answer: words in (answer.choices[0].message.content or "")


def is_city(answer: ChatCompletion) -> bool:
    found = json.loads(answer.choices[0].message.content or "")
    return isinstance(found["name"], str) and isinstance(found["people"], int)


def is_json(answer: ChatCompletion) -> bool:
    return isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def results(content: str) -> list[dict[str, Any]]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    return [
        *ASK_WEATHER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": content},
    ]


def features(picture_url: str) -> list[Feature]:
    hello = said("What is the capital of France?")
    picture = {"type": "image_url", "image_url": {"url": data_url("image/png", PIXEL)}}
    far = {"type": "image_url", "image_url": {"url": picture_url}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}}
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    turns = [*hello, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "And of Italy?"}]
    effort = {"reasoning_effort": "low", "messages": hello}
    force = {"type": "function", "function": {"name": "get_weather"}}
    paris = says("Paris")
    return [
        Feature("text", {"messages": hello}, (), paris),
        Feature(
            "system message", {"messages": [{"role": "system", "content": "Be brief."}, *hello]}, (), paris
        ),
        Feature(
            "developer message",
            {"messages": [{"role": "developer", "content": "Be brief."}, *hello]},
            (),
            paris,
        ),
        Feature("several turns", {"messages": turns}),
        Feature("tools", {"messages": ASK_WEATHER, "tools": [WEATHER]}, ("tools",), called("get_weather")),
        Feature(
            "parallel tools",
            {
                "messages": said("Use the get weather tool for Paris and the get clock tool."),
                "tools": [WEATHER, CLOCK],
            },
            ("tools",),
            called("get_weather", "get_clock"),
        ),
        Feature(
            "one tool at a time",
            {
                "messages": said("Use the get weather tool for Paris and the get clock tool."),
                "tools": [WEATHER, CLOCK],
                "parallel_tool_calls": False,
            },
            ("tools", "parallel_tool_calls"),
            lambda answer: len(answer.choices[0].message.tool_calls or []) == 1,
        ),
        Feature(
            "a forced tool",
            {"messages": hello, "tools": [WEATHER], "tool_choice": force},
            ("tools", "tool_choice"),
            called("get_weather"),
        ),
        Feature(
            "no tool",
            {"messages": ASK_WEATHER, "tools": [WEATHER], "tool_choice": "none"},
            ("tools", "tool_choice"),
            lambda answer: not answer.choices[0].message.tool_calls,
        ),
        Feature(
            "tool results",
            {"messages": results("21 degrees"), "tools": [WEATHER]},
            ("tools",),
            says("21 degrees"),
        ),
        Feature(
            "a tool that failed", {"messages": results("Error: no such city"), "tools": [WEATHER]}, ("tools",)
        ),
        Feature(
            "picture, data URL", {"messages": said([{"type": "text", "text": "What is this?"}, picture])}
        ),
        Feature("picture, http URL", {"messages": said([{"type": "text", "text": "What is this?"}, far])}),
        Feature("PDF", {"messages": said([{"type": "text", "text": "Summarise it."}, pdf])}),
        Feature("audio", {"messages": said([{"type": "text", "text": "What is said?"}, sound])}),
        Feature(
            "json_schema",
            {"messages": said("Describe Paris as a city."), "response_format": form},
            ("response_format",),
            is_city,
        ),
        Feature(
            "json_object",
            {
                "messages": said("Describe Paris as a city in JSON."),
                "response_format": {"type": "json_object"},
            },
            ("response_format",),
            is_json,
        ),
        Feature("reasoning effort", effort, ("reasoning_effort",)),
        Feature(
            "stop",
            {"messages": said("Reply with exactly: one two three"), "stop": ["two"]},
            ("stop",),
            lambda answer: "two" not in (answer.choices[0].message.content or ""),
        ),
        Feature("seed", {"messages": hello, "seed": 7}, ("seed",)),
        Feature(
            "logprobs",
            {"messages": hello, "logprobs": True, "top_logprobs": 2},
            ("logprobs", "top_logprobs"),
            lambda answer: bool(answer.choices[0].logprobs and answer.choices[0].logprobs.content),
        ),
        Feature("n", {"messages": hello, "n": 2}, ("n",), lambda answer: len(answer.choices) == 2),
        Feature("temperature", {"messages": hello, "temperature": 0.2}, ("temperature",)),
        Feature("top_p", {"messages": hello, "top_p": 0.5}, ("top_p",)),
        Feature("penalties", {"messages": hello, "frequency_penalty": 0.5}, ("frequency_penalty",)),
        Feature("logit_bias", {"messages": hello, "logit_bias": {"1": 1}}, ("logit_bias",)),
        Feature(
            "an end by length",
            {"messages": said("Explain in detail how a compiler works."), "max_completion_tokens": 20},
            ("max_tokens",),
            lambda answer: answer.choices[0].finish_reason == "length",
        ),
        Feature("service tier", {"messages": hello, "service_tier": "default"}, ("service_tier",)),
        Feature("user", {"messages": hello, "user": "u-1"}, ("user",)),
        Feature("metadata", {"messages": hello, "metadata": {"team": "a"}}, ("metadata",)),
        Feature("prompt cache key", {"messages": hello, "prompt_cache_key": "k"}, ("prompt_cache_key",)),
        Feature(
            "usage",
            {"messages": hello},
            (),
            lambda answer: bool(
                answer.usage and answer.usage.prompt_tokens and answer.usage.completion_tokens
            ),
        ),
    ]


def cell(client: OpenAI, model: str, feature: Feature, *, streamed: bool) -> Seen:
    """Ask, and say what came of it."""
    try:
        answer, told = (_streamed if streamed else _whole)(client, {"model": model, **feature.fields})
    except openai.APIStatusError as error:
        return Seen(str(error.code))
    mine = [one for one in told if one["parameter"] in feature.parameters]
    verdicts = {one["verdict"] for one in mine}
    verdict = "told" if "dropped" in verdicts else "adapted" if "adapted" in verdicts else "yes"
    return Seen(verdict, answer, mine)


def _whole(client: OpenAI, fields: dict[str, Any]) -> tuple[ChatCompletion, list[dict[str, Any]]]:
    answer = client.chat.completions.create(**fields)
    return answer, (answer.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]


def _streamed(client: OpenAI, fields: dict[str, Any]) -> tuple[ChatCompletion, list[dict[str, Any]]]:
    """By the client's own helper, which puts the answer together."""
    told: list[dict[str, Any]] = []
    with client.chat.completions.stream(**fields, stream_options={"include_usage": True}) as stream:
        with contextlib.suppress(openai.LengthFinishReasonError):
            for event in stream:
                if event.type == "chunk" and "x_routeplex" in (event.chunk.model_extra or {}):
                    extra = (event.chunk.model_extra or {})["x_routeplex"]
                    told = extra.get("fidelity", {}).get("parameters", told)
        try:
            return stream.get_final_completion(), told
        except openai.LengthFinishReasonError as ended:  # how the helper tells what was cut
            return ended.completion, told


def table(cells: dict[tuple[str, str], tuple[Seen, Seen]]) -> str:
    """Markdown: features down, providers across; `whole / streamed` where they differ."""
    names = list(dict.fromkeys(name for name, _ in cells))
    lines = ["| | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for name in names:
        told = [_words(*cells[name, column]) for column in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def _words(whole: Seen, streamed: Seen) -> str:
    return whole.verdict if whole.verdict == streamed.verdict else f"{whole.verdict} / {streamed.verdict}"
