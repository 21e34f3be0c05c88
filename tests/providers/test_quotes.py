"""A provider's error message that quotes the prompt is stored and shown without the quotation."""

import asyncio

import msgspec
import pytest

from routing.language.chat import Message, Role, Text, ToolCall
from routing.providers.shared.failures import UpstreamFailure
from routing.providers.shared.quotes import OMITTED, without_quotes
from tests.providers.conftest import misbehaving
from tests.providers.facts import CHAT, asking, user

PROMPT = "My patient, Ottilie Brandt, has the\nblood pressure of 190 over 110. What now?"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"Invalid prompt: {PROMPT!r}", f"Invalid prompt: {OMITTED}"),
        ("Invalid value: 'Ottilie Brandt'.", f"Invalid value: {OMITTED}."),
        (
            "flagged: my patient, ottilie brandt, has the blood … at position 3",
            f"flagged: {OMITTED} at position 3",
        ),
        ("Unknown parameter: 'over'.", "Unknown parameter: 'over'."),
        ("The model `gpt-4o` does not exist.", "The model `gpt-4o` does not exist."),
    ],
)
def test_quotations_are_left_out(message: str, shown: str) -> None:
    assert without_quotes(message, asking(user(PROMPT))) == shown


def test_arguments_of_calls_and_other_scripts_are_left_out_too() -> None:
    call = ToolCall("c1", "look", '{"name": "患者佐藤さんの血圧は百九十"}')
    request = asking(user("Hi"), Message(Role.ASSISTANT, (Text("ok"),), (call,)))
    assert without_quotes("bad: '患者佐藤さんの血圧は百九十'", request) == f"bad: {OMITTED}"


def test_a_long_prompt_leaves_ordinary_words_alone() -> None:
    request = asking(user("this parameter is not supported with some of the models " * 50))
    message = "Unsupported parameter: 'top_k' is not supported with this model."
    assert without_quotes(message, request) == message


async def test_a_failure_does_not_carry_the_prompt() -> None:
    body = b'{"error": {"message": "Invalid: My patient, Ottilie Brandt, has the blood", "code": "x"}}'

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()

    model = msgspec.structs.replace(CHAT, provider="raw")
    async with misbehaving(refuse) as upstreams:
        with pytest.raises(UpstreamFailure) as caught:
            async for _ in upstreams.complete(asking(user(PROMPT)), model, None, stream=True):
                pass
    assert caught.value.message == f"Invalid: {OMITTED}"
    assert "Ottilie" not in str(caught.value)
