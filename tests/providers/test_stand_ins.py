"""Features that are added where an API lacks them: several choices, stop sequences, images by URL."""

import asyncio
import base64
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import Usage
from routing.language.arms import ModelFacts
from routing.language.chat import (
    File,
    Finished,
    FinishReason,
    Image,
    Message,
    Opaque,
    Role,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    UsageReport,
)
from routing.language.fidelity import ParameterReceipt, Verdict
from routing.providers.anthropic import requests as anthropic
from routing.providers.gemini import requests as gemini
from routing.providers.openai import chat_requests as openai_chat
from routing.providers.openai import responses_requests as openai_responses
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.fan_out import Several
from routing.providers.shared.receipt import CUT_HERE
from routing.providers.shared.stop_sequences import Cutter
from tests.conftest import Simulator
from tests.providers import strict
from tests.providers.conftest import Caller
from tests.providers.facts import (
    CHAT,
    CLAUDE,
    GEMINI,
    PIXEL,
    REASONING_CHAT,
    RESPONSES,
    WEATHER,
    asking,
    assistant,
    call,
    result,
    user,
)

either_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


# Several choices


@either_way
@pytest.mark.parametrize("model", [CLAUDE, RESPONSES, GEMINI], ids=lambda model: model.id)
async def test_choices_take_one_call_each_and_their_usage_is_summed(
    caller: Caller, simulator: Simulator, model: ModelFacts, stream: bool
) -> None:
    simulator.reset()
    request = asking(n=3, tools=(WEATHER,))  # with tools OpenAI's model goes to the Responses API
    events = await caller.events(request, model, stream=stream)
    assert sum(isinstance(event, Started) for event in events) == 1
    assert ParameterReceipt("n", Verdict.ADAPTED, "asked 3 times") in events[0].receipt  # type: ignore[union-attr]
    booked = [call["usage"] for call in simulator.calls()]
    assert len(booked) == 3
    answer = await collected(events)
    assert [choice.text for choice in answer.choices] == [answer.choices[0].text] * 3
    assert "Paris" in answer.choices[0].text
    assert answer.usage.input_tokens == sum(usage["input_tokens"] for usage in booked)
    assert answer.usage.output_tokens == sum(usage["output_tokens"] for usage in booked)


async def collected(events: list[StreamEvent]) -> Any:
    from routing.language.chat import Collector

    collector = Collector()
    for event in events:
        collector.add(event)
    return collector.result()


@pytest.mark.parametrize("model", [CHAT, REASONING_CHAT], ids=lambda model: model.id)
async def test_an_api_with_choices_takes_one_call(
    caller: Caller, simulator: Simulator, model: ModelFacts
) -> None:
    simulator.reset()
    answer = await caller.ask(asking(n=3), model)
    assert len(answer.choices) == 3
    assert len(simulator.calls()) == 1


async def test_the_failure_of_one_choice_is_the_failure_of_all(caller: Caller, simulator: Simulator) -> None:
    simulator.fault(provider=CLAUDE.provider, kind="status", status=500, count=1)
    with pytest.raises(UpstreamFailure) as caught:
        await caller.ask(asking(n=3), CLAUDE)
    assert caught.value.kind is FailureKind.SERVER


async def test_closing_the_answer_ends_all_its_calls() -> None:
    open_calls = 0

    class Endless:
        def __init__(self) -> None:
            nonlocal open_calls
            open_calls += 1
            self._has_started = False

        async def next(self) -> list[StreamEvent]:
            if not self._has_started:
                self._has_started = True
                return [Started("m")]
            await asyncio.sleep(0.001)
            return [UsageReport(Usage(output_tokens=1))]

        async def close(self) -> None:
            nonlocal open_calls
            open_calls -= 1

    answers = Several(3, Endless)
    while (batch := await answers.next()) is not None:
        if any(isinstance(event, UsageReport) and event.usage.output_tokens == 3 for event in batch):
            break
    assert open_calls == 3
    await answers.close()
    assert open_calls == 0


# Stop sequences


@either_way
async def test_a_stop_sequence_responses_lacks_cuts_its_answer(caller: Caller, stream: bool) -> None:
    whole = (await caller.ask(asking(tools=(WEATHER,)), RESPONSES, stream=stream)).choices[0].text
    request = asking(stop=("Paris",), tools=(WEATHER,))
    events = await caller.events(request, RESPONSES, stream=stream)
    (choice,) = (await collected(events)).choices
    assert choice.text == whole.partition("Paris")[0]
    assert choice.text != whole
    assert choice.finish_reason is FinishReason.STOP
    assert ParameterReceipt("stop", Verdict.ADAPTED, CUT_HERE) in events[0].receipt  # type: ignore[union-attr]


def cut(text: str, stops: tuple[str, ...], at: list[int]) -> tuple[str, FinishReason]:
    cutter = Cutter(stops)
    pieces = [text[a:b] for a, b in pairwise([0, *sorted(at), len(text)])]
    deltas: list[StreamEvent] = [TextDelta(piece) for piece in pieces]
    events = [
        cut_event for event in [*deltas, Finished(FinishReason.LENGTH)] for cut_event in cutter.of(event)
    ]
    end = events[-1]
    assert isinstance(end, Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), end.reason


@given(
    st.text("ab", max_size=30),
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 30), max_size=8),
)
def test_an_answer_in_any_pieces_is_cut_before_the_first_stop(
    text: str, stops: list[str], at: list[int]
) -> None:
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    before, reason = cut(text, tuple(stops), [min(place, len(text)) for place in at])
    if places:
        assert reason is FinishReason.STOP
        assert len(before) <= len(text)
        assert not any(stop in before for stop in stops)
        assert text.startswith(before)
    else:
        assert (before, reason) == (text, FinishReason.LENGTH)


def test_a_stop_in_one_piece_cuts_at_the_earliest() -> None:
    assert cut("one two three", ("three", "two"), []) == ("one ", FinishReason.STOP)


def test_calls_after_a_cut_are_dropped_and_before_it_nothing_is_held_back() -> None:
    cutter = Cutter(("END",))
    deltas = [*cutter.of(TextDelta("so E")), *cutter.of(ToolCallDelta(0, "a", "f"))]
    assert deltas == [TextDelta("so "), TextDelta("E"), ToolCallDelta(0, "a", "f")]
    assert [*cutter.of(TextDelta("END")), *cutter.of(ToolCallDelta(1, "b", "f"))] == []
    assert [*cutter.of(TextDelta("other", 1))] == [TextDelta("other", 1)]


# Pictures in tool results

CONVERSATION = (
    user("What does the camera see?"),
    assistant("", call("a", "camera", "{}"), call("b", "camera", "{}")),
    Message(Role.TOOL, (Text("North:"), Image(PIXEL)), tool_call_id="a"),
    Message(Role.TOOL, (Image(PIXEL),), tool_call_id="b"),
    user("So?"),
)
CAMERA = Tool("camera", "Looks")


@pytest.mark.parametrize(
    "model", [CHAT, REASONING_CHAT, RESPONSES, CLAUDE, GEMINI], ids=lambda model: model.id
)
async def test_a_picture_in_a_tools_result_is_taken(caller: Caller, model: ModelFacts) -> None:
    answer = await caller.ask(asking(*CONVERSATION, tools=(CAMERA,)), model)
    assert answer.choices[0].finish_reason is FinishReason.STOP


def test_chat_completions_gets_the_image_after_the_results() -> None:
    wire = openai_chat.build(asking(*CONVERSATION, tools=(CAMERA,)), CHAT, None, stream=False)
    messages = strict.accepted("openai_chat", wire.body)["messages"]
    assert [item["role"] for item in messages] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert [part["type"] for part in messages[4]["content"]] == ["text", "image_url"] * 2
    assert "call a" in messages[4]["content"][0]["text"]
    images = next(item for item in wire.receipt if item.parameter == "images")
    assert images.change == "those of tool results are shown after the results"


def test_other_apis_get_the_image_in_the_result() -> None:
    request = asking(*CONVERSATION, tools=(CAMERA,))
    responses = openai_responses.build(request, RESPONSES, None, stream=False)
    outputs = [
        item for item in strict.accepted("openai_responses", responses.body)["input"] if "output" in item
    ]
    assert [part["type"] for part in outputs[0]["output"]] == ["input_text", "input_image"]
    claude = strict.accepted("anthropic", anthropic.build(request, CLAUDE, None, stream=False).body)
    first = claude["messages"][2]["content"][0]
    assert [part["type"] for part in first["content"]] == ["text", "image"]
    google = strict.accepted("gemini", gemini.build(request, GEMINI, None, stream=False).body)
    (part,) = google["contents"][2]["parts"][0]["functionResponse"]["parts"]
    assert part["inlineData"]["mimeType"] == "image/png"


# Reasoning its provider does not take back


@pytest.mark.parametrize(
    ("model", "forged"),
    [
        (CLAUDE, {"type": "thinking", "thinking": "Hm.", "signature": "forged"}),
        (GEMINI, {"textSignature": "Zm9yZ2Vk"}),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
async def test_refused_reasoning_is_left_out_and_in_the_receipt(
    caller: Caller, model: ModelFacts, forged: dict[str, str]
) -> None:
    signature = Opaque(model.provider, {"thoughtSignature": "Zm9yZ2Vk"})
    called = msgspec.structs.replace(call("a", "camera", "{}"), signature=signature)
    assistant_turn = Message(Role.ASSISTANT, (Opaque(model.provider, forged), Text("Hm.")), (called,))
    events = await caller.events(asking(user("Hi"), assistant_turn, result("a"), tools=(CAMERA,)), model)
    assert isinstance(events[0], Started)
    changes = {item.parameter: item.change for item in events[0].receipt}
    assert changes["reasoning"] == "left out: its provider did not take it back"


async def test_another_bad_request_is_not_retried(caller: Caller, simulator: Simulator) -> None:
    simulator.reset()
    simulator.fault(provider="anthropic", kind="status", status=400)
    thought = Opaque("anthropic", {"type": "thinking", "thinking": "", "signature": "x"})
    assistant_turn = Message(Role.ASSISTANT, (thought, Text("Hm.")))
    with pytest.raises(UpstreamFailure):
        await caller.ask(asking(user("Hi"), assistant_turn, user("?")), CLAUDE)
    assert len(simulator.calls()) == 1


# Pictures by URL

PNG = base64.b64decode(PIXEL.partition(",")[2])


@asynccontextmanager
async def serving(status: str = "200 OK", media_type: str = "image/png", body: bytes = PNG) -> Any:
    """A web server with one answer to everything; yields its address and the heads of the requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()


async def test_gemini_gets_the_content_of_a_pictures_url(
    caller: Caller, simulator: Simulator, settings: Any
) -> None:
    async with serving() as (address, heads):
        settings.OUTBOUND_ALLOWED_HOSTS = [address]
        picture = Image(f"http://{address}/cat.png")
        events = await caller.events(asking(user("What is this?", picture, picture)), GEMINI)
    assert len(heads) == 1, "the same URL twice is fetched once"
    assert events[0].receipt == (  # type: ignore[union-attr]
        ParameterReceipt("images", Verdict.ADAPTED, "fetched here and sent as content"),
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": "404 Not Found"}, "status 404"),
        ({"media_type": "text/html"}, "leads to something else: 'text/html'"),
    ],
)
async def test_an_invalid_image_is_a_bad_request(
    caller: Caller, settings: Any, answer: dict[str, str], words: str
) -> None:
    async with serving(**answer) as (address, _):
        settings.OUTBOUND_ALLOWED_HOSTS = [address]
        with pytest.raises(UpstreamFailure) as caught:
            await caller.ask(asking(user("?", Image(f"http://{address}/cat.png"))), GEMINI)
    assert caught.value.kind is FailureKind.BAD_REQUEST
    assert words in caught.value.message


@pytest.mark.parametrize("url", ["https://127.0.0.1/cat.png", "https://169.254.169.254/latest/meta-data"])
async def test_a_pictures_url_into_our_network_is_not_fetched(caller: Caller, url: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        await caller.ask(asking(user("?", Image(url))), GEMINI)
    assert caught.value.kind is FailureKind.BAD_REQUEST
    assert "cannot be fetched" in caught.value.message


@pytest.mark.parametrize("logprobs", [True, False])
async def test_a_file_url_is_fetched_when_log_probabilities_are_requested(
    caller: Caller, settings: Any, logprobs: bool
) -> None:
    async with serving(media_type="application/pdf", body=b"%PDF-1.4") as (address, heads):
        settings.OUTBOUND_ALLOWED_HOSTS = [address]
        request = asking(user("?", File(f"http://{address}/a.pdf")), logprobs=logprobs)
        answer = await caller.ask(request, CHAT)
    assert (len(heads), bool(answer.choices[0].logprobs)) == (int(logprobs), logprobs)


async def test_other_apis_get_the_url(caller: Caller, settings: Any) -> None:
    async with serving() as (address, heads):
        settings.OUTBOUND_ALLOWED_HOSTS = [address]
        for model in (CHAT, CLAUDE):
            await caller.ask(asking(user("?", Image(f"http://{address}/cat.png")), tools=(WEATHER,)), model)
    assert heads == []
