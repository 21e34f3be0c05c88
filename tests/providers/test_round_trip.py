"""Any valid conversation becomes a request that each provider's types accept, and reads back unchanged.

Each conversation is written in OpenAI's format, parsed by the door, written for each provider, and read back:
by the parsers of our own doors where there is one for the API, so that doors and adapters check each other.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.doors.anthropic_messages import parse_messages as messages_parse
from routing.doors.openai_responses import parse_input as responses_parse
from routing.doors.shared import openai_messages as parse
from routing.doors.shared.field_errors import FieldErrors
from routing.language.arms import ModelFacts
from routing.language.chat import ChatRequest, File, Image, Message, Refusal, Role, Text, Tool
from routing.providers.anthropic import requests as anthropic
from routing.providers.gemini import requests as gemini
from routing.providers.openai import chat_requests as openai_chat
from routing.providers.openai import responses_requests as openai_responses
from tests.providers.facts import (
    CHAT,
    CLAUDE,
    GEMINI,
    LOCAL,
    MODELS,
    OLD_CLAUDE,
    OLD_GEMINI,
    PIXEL,
    RESPONSES,
    in_plain_forms,
)
from tests.providers.strict import accepted

PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4").decode()
TOOLS = (
    Tool("look", "Looks", {"type": "object", "properties": {"at": {"type": "string"}}}),
    Tool("query", "Asks", is_custom=True),
)
# Wire format, model and builder
TARGETS = [
    ("openai_chat", CHAT, openai_chat.build),
    ("openai_chat", LOCAL, openai_chat.build_compatible),
    ("openai_responses", RESPONSES, openai_responses.build),
    ("anthropic", CLAUDE, anthropic.build),
    ("anthropic", OLD_CLAUDE, anthropic.build),
    ("anthropic", MODELS["claude-sonnet-5"], anthropic.build),
    ("gemini", GEMINI, gemini.build),
    ("gemini", OLD_GEMINI, gemini.build),
]
Item = tuple[Any, ...]

# What callers send

_words = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="<>."), min_size=1, max_size=8
)
_data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | _words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_words, inner, max_size=2),
    max_leaves=4,
)
_parts = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, _words),
        st.just({"type": "image_url", "image_url": {"url": PIXEL}}),
        st.just({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
    ),
    min_size=1,
    max_size=3,
)
_function = st.builds(
    lambda at: {"type": "function", "function": {"name": "look", "arguments": json.dumps(at)}},
    st.dictionaries(_words, _data, max_size=3),
)
_custom = st.builds(lambda text: {"type": "custom", "custom": {"name": "query", "input": text}}, _words)


@st.composite
def _turn(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """A user's word, what the assistant says and calls, and the calls' results in any order."""
    turn: list[dict[str, Any]] = []
    if draw(st.booleans()):
        turn.append({"role": draw(st.sampled_from(["system", "developer"])), "content": draw(_words)})
    turn.append({"role": "user", "content": draw(_words | _parts)})
    items: dict[str, Any] = {"role": "assistant", "content": draw(_words)}
    calls = draw(st.lists(_function | _custom, max_size=3))
    if calls:
        items["content"] = draw(st.none() | _words)
        name = draw(st.sampled_from(["call", "toolu_01", "call 1/ü"]))
        items["tool_calls"] = [{"id": f"{name}.{number}.{i}", **call} for i, call in enumerate(calls)]
    elif draw(st.booleans()):
        items = {"role": "assistant", "content": None, "refusal": draw(_words)}
    turn.append(items)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(_words | st.just('{"$ref": "#/x"}'))}
        for call in items.get("tool_calls", ())
    ]
    return turn + draw(st.permutations(results))


@st.composite
def _conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    turns = [message for number in range(draw(st.integers(0, 3))) for message in draw(_turn(number))]
    if not turns or turns[-1]["role"] != "tool" or draw(st.booleans()):
        turns.append({"role": "user", "content": draw(_words | _parts)})
    return turns


# What was said, in one form for all


def items_of(messages: tuple[Message, ...]) -> Iterator[Item]:
    """Texts by role, media, calls, and results by the place of their call."""
    places: dict[str, int] = {}
    for message in messages:
        if message.role is Role.TOOL:
            yield ("result", places[message.tool_call_id or ""], message.text)
            continue
        for part in message.parts:
            match part:
                case Text() | Refusal():
                    yield from _texts(str(message.role), part.text)
                case Image() | File():
                    yield ("media", part.url)
        for call in message.tool_calls:
            places[call.id] = len(places)
            written = call.arguments if call.is_custom else json.loads(call.arguments or "{}")
            yield ("call", call.name, {"input": written} if call.is_custom else written)


def _texts(role: str, text: str) -> Iterator[Item]:
    """System texts stand apart, joined with others, or wrapped inside a user's."""
    wrapped = re.fullmatch(r"<system>\n(.*)\n</system>", text, re.DOTALL)
    role, text = ("system", wrapped[1]) if wrapped else (role, text)
    for piece in text.split("\n\n") if role == "system" else [text]:
        if piece not in ("", "."):  # a stand-in where a dialect demands a text
            yield (role, piece)


def read_back(kind: str, body: dict[str, Any]) -> tuple[Message, ...]:
    errors = FieldErrors()
    match kind:
        case "openai_chat":
            messages = parse.messages(body["messages"], errors)
        case "openai_responses":
            system = (Message(Role.SYSTEM, (Text(body["instructions"]),)),) if "instructions" in body else ()
            messages = (*system, *responses_parse.items(body["input"], errors))
        case "anthropic":
            messages = (
                *messages_parse.system(body.get("system"), errors),
                *messages_parse.messages(body["messages"], errors),
            )
        case _:
            return tuple(_gemini(body))
    assert errors.details == []
    return messages


def _gemini(body: dict[str, Any]) -> Iterator[Message]:
    """A function response answers the call of its place among those of the turn before."""
    from routing.language.chat import ToolCall

    if instruction := body.get("systemInstruction"):
        yield Message(Role.SYSTEM, tuple(Text(part["text"]) for part in instruction["parts"]))
    count, waiting = 0, []
    for content in body["contents"]:
        texts = tuple(_gemini_part(part) for part in content["parts"] if "functionCall" not in part)
        if content["role"] == "model":
            calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
            waiting = [f"c{count + number}" for number in range(len(calls))]
            count += len(calls)
            calls = tuple(
                ToolCall(identity, call["name"], json.dumps(call["args"]))
                for identity, call in zip(waiting, calls, strict=True)
            )
            yield Message(Role.ASSISTANT, texts, calls)
        elif "functionResponse" in content["parts"][0]:
            assert len(content["parts"]) == len(waiting), "as many as there were calls"
            for identity, part in zip(waiting, content["parts"], strict=True):
                yield Message(
                    Role.TOOL, (Text(part["functionResponse"]["response"]["output"]),), tool_call_id=identity
                )
        else:
            yield Message(Role.USER, texts)


def _gemini_part(part: dict[str, Any]) -> Any:
    if "inlineData" in part:
        data = part["inlineData"]
        return Image(f"data:{data['mimeType']};base64,{data['data']}")
    return Text(part.get("text", ""))


def in_call_order(items: list[Item]) -> list[Item]:
    """Results of one turn may be sent in any order; providers get them in the order of the calls."""
    ordered: list[Item] = []
    for item in items:
        place = len(ordered)
        while (
            item[0] == "result" and place and ordered[place - 1][0] == "result" and ordered[place - 1] > item
        ):
            place -= 1
        ordered.insert(place, item)
    return ordered


@pytest.mark.parametrize(
    ("kind", "model", "build"), TARGETS, ids=[f"{kind}-{model.id}" for kind, model, _ in TARGETS]
)
@settings(max_examples=60, deadline=None)
@given(sent=_conversations(), streamed=st.booleans())
def test_no_content_is_lost(
    kind: str, model: ModelFacts, build: Any, sent: list[dict[str, Any]], streamed: bool
) -> None:
    errors = FieldErrors()
    messages = parse.messages(sent, errors)
    assert errors.details == []
    request = in_plain_forms(ChatRequest(messages, tools=TOOLS), model).request
    body = accepted(kind, build(request, model, None, stream=streamed).body)
    back = read_back(kind, body)
    assert in_call_order(list(items_of(back))) == in_call_order(list(items_of(messages)))
    if kind != "gemini":  # which gets no ids that are not its own
        _ids_are_kept(messages, back, exactly=kind != "anthropic")


def _ids_are_kept(sent: tuple[Message, ...], back: tuple[Message, ...], *, exactly: bool) -> None:
    """`exactly`: as they were; else at least those that fit the dialect's pattern."""
    before = [call.id for message in sent for call in message.tool_calls]
    after = [call.id for message in back for call in message.tool_calls]
    assert len(set(after)) == len(after) == len(before)
    for item, other in zip(before, after, strict=True):
        if exactly or re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", item):
            assert item == other
        else:
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", other)
