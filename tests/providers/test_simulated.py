"""Every catalog model answers through its adapter at every effort; the simulator is as strict as they."""

import json
from typing import Any

import msgspec
import pytest

from routing.language.arms import Effort
from routing.language.chat import (
    FinishReason,
    Image,
    Message,
    ReasoningDelta,
    ResponseFormat,
    Role,
    Sampling,
    Text,
    TextDelta,
    ToolChoice,
    UsageReport,
)
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from tests.conftest import Simulator
from tests.providers.conftest import Caller
from tests.providers.facts import (
    CHAT,
    CLAUDE,
    GEMINI,
    LOCAL,
    MODELS,
    OLD_CLAUDE,
    PIXEL,
    REASONING_CHAT,
    RESPONSES,
    WEATHER,
    asking,
    assistant,
    call,
    result,
    system,
    user,
)

WIRES = {
    "chat": CHAT,
    "reasoning chat": REASONING_CHAT,
    "responses": RESPONSES,
    "claude": CLAUDE,
    "gemini": GEMINI,
}
each_wire = pytest.mark.parametrize("model", WIRES.values(), ids=WIRES.keys())
either_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])

LONG = user("Prove that there are infinitely many primes, step by step.")
EVERYTHING: dict[str, Any] = {
    "sampling": Sampling(1.7, 0.9, 40, 0.1, 0.1, 7, {"50256": -100}),
    "stop": ("###", "END"),
    "max_output_tokens": 3000,
    "user": "user-1 " * 20,
    "metadata": {"ticket": "7"},
    "service_tier": "default",
    "verbosity": "medium",
    "parallel_tool_calls": False,
}


@either_way
@each_wire
async def test_each_wire_answers_with_text_usage_and_an_end(caller: Caller, model: Any, stream: bool) -> None:
    answer = await caller.ask(asking(), model, stream=stream)
    assert "Paris" in answer.choices[0].text
    assert answer.choices[0].finish_reason is FinishReason.STOP
    assert answer.served_model.startswith(model.id)
    assert answer.response_id
    assert answer.usage is not None
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
async def test_every_model_takes_what_is_sent_at_every_effort(caller: Caller, model: Any) -> None:
    conversation = (
        system("Be brief."),
        user("Hi"),
        assistant("Hello!"),
        system("Be kind."),
        user("Capital of France?"),
    )
    for effort in (None, *Effort):
        for tools in ((), (WEATHER,)):
            answer = await caller.ask(asking(*conversation, tools=tools, **EVERYTHING), model, effort)
            assert answer.usage is not None


@either_way
@each_wire
async def test_usage_matches_the_providers_records(
    caller: Caller, simulator: Simulator, model: Any, stream: bool
) -> None:
    answer = await caller.ask(asking(user("Prove it. " * 400)), model, Effort.HIGH, stream=stream)
    booked = simulator.calls()[-1]["usage"]
    usage = answer.usage
    assert usage is not None
    assert usage.output_tokens == booked["output_tokens"]
    assert usage.input_tokens == booked["input_tokens"]
    assert usage.reasoning_tokens == booked["reasoning"]
    assert usage.cache_read_tokens == booked["cached"]


@either_way
@each_wire
async def test_a_tool_is_called_and_its_result_understood(caller: Caller, model: Any, stream: bool) -> None:
    first = user("What is the weather in Oslo?")
    answer = await caller.ask(asking(first, tools=(WEATHER,)), model, stream=stream)
    assistant_turn = answer.choices[0]
    assert assistant_turn.finish_reason is FinishReason.TOOL_CALLS
    (wanted,) = assistant_turn.tool_calls
    assert wanted.name == "get_weather"
    assert wanted.id
    history = (
        first,
        assistant(assistant_turn.text, *assistant_turn.tool_calls),
        result(wanted.id, "4 °C, rain"),
    )
    final = await caller.ask(asking(*history, tools=(WEATHER,)), model, stream=stream)
    assert final.choices[0].finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    "choice", [ToolChoice("required"), ToolChoice("named", "get_weather"), ToolChoice("none")]
)
@each_wire
async def test_the_tool_choice_is_kept(caller: Caller, model: Any, choice: ToolChoice) -> None:
    request = asking(user("Hello"), tools=(WEATHER,), tool_choice=choice)
    answer = await caller.ask(request, model)
    assert bool(answer.choices[0].tool_calls) is (choice.mode != "none")


@each_wire
async def test_parallel_results_with_one_missing_are_taken(caller: Caller, model: Any) -> None:
    history = (
        user("Compare"),
        assistant("", call("a"), call("b"), call("c:1/2")),
        result("c:1/2", "warm"),
        system("Hurry."),
        result("a", "cold", is_error=True),
        result("nobody", "?"),
        user("So?"),
    )
    answer = await caller.ask(asking(*history, tools=(WEATHER,)), model)
    assert answer.usage is not None


@each_wire
async def test_a_picture_is_taken(caller: Caller, model: Any) -> None:
    answer = await caller.ask(asking(user("What is this?", Image(PIXEL))), model)
    assert answer.choices[0].text


@each_wire
async def test_a_json_schema_is_followed(caller: Caller, model: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    wanted = ResponseFormat("json_schema", "city", schema=schema, strict=True)
    answer = await caller.ask(asking(response_format=wanted), model)
    assert set(json.loads(answer.choices[0].text)) == {"city"}


@pytest.mark.parametrize("model", [CHAT, REASONING_CHAT, RESPONSES, GEMINI], ids=lambda model: model.id)
async def test_a_json_object_is_returned_where_the_api_has_the_option(caller: Caller, model: Any) -> None:
    answer = await caller.ask(asking(response_format=ResponseFormat("json_object")), model)
    assert isinstance(json.loads(answer.choices[0].text), dict)


@either_way
@each_wire
async def test_an_answer_cut_at_its_limit_says_so(caller: Caller, model: Any, stream: bool) -> None:
    request = asking(user("Write a long essay about rivers."), max_output_tokens=20)
    answer = await caller.ask(request, model, stream=stream)
    assert answer.choices[0].finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("model", [CLAUDE, OLD_CLAUDE, RESPONSES, GEMINI], ids=lambda model: model.id)
async def test_thinking_is_returned_and_accepted_in_the_next_request(caller: Caller, model: Any) -> None:
    first = user("Prove that there are infinitely many primes.")
    request = asking(first, tools=(WEATHER,))
    events = await caller.events(request, model, Effort.HIGH)
    carried = tuple(event.carried for event in events if isinstance(event, ReasoningDelta) and event.carried)
    assert {block.provider for block in carried} == {model.provider}
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assistant_turn = Message(Role.ASSISTANT, (*carried, Text(text)))
    again = await caller.ask(
        asking(first, assistant_turn, user("Shorter."), tools=(WEATHER,)), model, Effort.HIGH
    )
    assert again.choices[0].finish_reason is FinishReason.STOP


async def test_usage_comes_before_the_end_and_a_cut_answer_has_its_input_counted(caller: Caller) -> None:
    events = await caller.events(asking(), CLAUDE)
    assert isinstance(events[1], UsageReport)
    assert isinstance(events[-2], UsageReport)


@either_way
async def test_a_compatible_server_answers(caller: Caller, stream: bool) -> None:
    local = msgspec.structs.replace(LOCAL, upstream_id="gpt-4o")
    answer = await caller.ask(asking(sampling=Sampling(0.2), stop=("x",), user="u"), local, stream=stream)
    assert "Paris" in answer.choices[0].text


async def test_extra_parameters_reach_openai_only(caller: Caller) -> None:
    request = asking(extra={"prompt_cache_key": "k", "model": "other", "stream": False})
    for model in WIRES.values():
        assert (await caller.ask(request, model)).served_model.startswith(model.id)


FAULTS = [
    ({"kind": "status", "status": 500}, FailureKind.SERVER),
    ({"kind": "status", "status": 503}, FailureKind.OVERLOADED),
    ({"kind": "status", "status": 429, "retry_after": 3.0}, FailureKind.RATE_LIMIT),
    ({"kind": "status", "status": 401}, FailureKind.AUTH),
    ({"kind": "status", "status": 404}, FailureKind.MODEL_GONE),
    ({"kind": "status", "status": 400}, FailureKind.BAD_REQUEST),
    ({"kind": "refuse_connection"}, FailureKind.SERVER),
    ({"kind": "empty_body"}, FailureKind.MALFORMED),
    ({"kind": "html_error"}, FailureKind.SERVER),
    ({"kind": "error_in_200", "after_chunks": 1}, None),
]


@either_way
@pytest.mark.parametrize(
    ("fault", "kind"), FAULTS, ids=[str(f["kind"]) + str(f.get("status", "")) for f, _ in FAULTS]
)
@each_wire
async def test_each_fault_has_its_failure_kind(
    caller: Caller,
    simulator: Simulator,
    model: Any,
    fault: dict[str, Any],
    kind: FailureKind | None,
    stream: bool,
) -> None:
    simulator.fault(provider=model.provider, **fault)
    with pytest.raises(UpstreamFailure) as caught:
        await caller.ask(asking(LONG), model, stream=stream)
    if kind is FailureKind.MALFORMED and stream:
        assert caught.value.kind in (FailureKind.MALFORMED, FailureKind.TRUNCATED)
    elif kind is not None:
        assert caught.value.kind is kind
    if fault.get("retry_after"):
        assert caught.value.retry_after_s == 3.0
    assert "sim-key" not in caught.value.message


@each_wire
async def test_a_cut_stream_is_truncated_and_never_a_success(
    caller: Caller, simulator: Simulator, model: Any
) -> None:
    simulator.fault(provider=model.provider, kind="cut", after_chunks=1)
    with pytest.raises(UpstreamFailure) as caught:
        await caller.ask(asking(LONG), model)
    assert caught.value.kind is FailureKind.TRUNCATED


@each_wire
async def test_a_malformed_chunk_is_malformed(caller: Caller, simulator: Simulator, model: Any) -> None:
    simulator.fault(provider=model.provider, kind="malformed", after_chunks=1)
    with pytest.raises(UpstreamFailure) as caught:
        await caller.ask(asking(LONG), model)
    assert caught.value.kind is FailureKind.MALFORMED


@each_wire
async def test_an_answer_in_pieces_of_seven_bytes_is_whole(
    caller: Caller, simulator: Simulator, model: Any
) -> None:
    simulator.fault(provider=model.provider, kind="slow_bytes", delay_s=0.0)
    assert "Paris" in (await caller.ask(asking(), model)).choices[0].text


@each_wire
async def test_a_stream_without_its_last_frames_is_truncated(
    caller: Caller, simulator: Simulator, model: Any
) -> None:
    simulator.fault(provider=model.provider, kind="no_done")
    with pytest.raises(UpstreamFailure) as caught:
        await caller.ask(asking(), model)
    assert caught.value.kind is FailureKind.TRUNCATED


@either_way
@each_wire
async def test_a_different_served_model_is_reported_by_its_name(
    caller: Caller, simulator: Simulator, model: Any, stream: bool
) -> None:
    simulator.fault(provider=model.provider, kind="wrong_model")
    assert (await caller.ask(asking(), model, stream=stream)).served_model == "simulated-wrong-model"


@either_way
@each_wire
async def test_dropped_usage_is_no_usage(
    caller: Caller, simulator: Simulator, model: Any, stream: bool
) -> None:
    simulator.fault(provider=model.provider, kind="drop_usage")
    answer = await caller.ask(asking(), model, stream=stream)
    assert answer.usage is None or answer.usage.output_tokens == 0
