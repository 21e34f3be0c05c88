"""OpenAI Responses API: the requests that Chat Completions refuses."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from routing.language.arms import Capability, Effort, ModelFacts
from routing.language.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolChoice,
)
from routing.providers.openai.common import (
    RESPONSES_PARAMETERS,
    RESPONSES_TTLS,
    Ttls,
    breakpoint_of,
    identity,
    is_strict,
    mentions_json,
    only_text,
    passed_through,
    takes_marks,
    wire_format,
)
from routing.providers.openai.reasoning import is_reasoning_item
from routing.providers.shared import quirks
from routing.providers.shared.conversation import split_system, system_text, whole_tool_runs
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.receipt import ReceiptWriter
from routing.providers.shared.schemas import EMPTY_OBJECT
from routing.providers.shared.tools.forms import custom_names
from routing.providers.shared.wire import Wire

PATH = "/responses"

# Parameters of Chat Completions that this API does not know
_CHAT_ONLY = frozenset(
    {
        "prediction",
        "modalities",
        "audio",
        "web_search_options",
        "functions",
        "function_call",
        "logit_bias",
        "moderation",
        "max_completion_tokens",
        "max_tokens",
        "response_format",
        "reasoning_effort",
        "verbosity",
        "stop",
        "seed",
    }
)


def build(request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool) -> Wire:
    """`n`, `seed` and penalties do not exist here and are left out; `stop` is applied to the answer."""
    receipt = ReceiptWriter(request, model.provider)
    body = passed_through(
        request,
        model,
        receipt,
        RESPONSES_PARAMETERS,
        unknown=model.id == request.named_model,
        absent=_CHAT_ONLY,
    )
    receipt.keep("tools", "tool_choice", "parallel_tool_calls", "response_format", "images", "files")
    receipt.own_reasoning_only()
    receipt.no_prefill()
    ttls = RESPONSES_TTLS if takes_marks(request, model, receipt, RESPONSES_TTLS) else None
    system, rest = split_system(request.messages)
    if any(
        isinstance(part, Text) and breakpoint_of(part, ttls) for message in system for part in message.parts
    ):
        system, rest = (), request.messages  # instructions are a plain text, without marks
    instructions = system_text(system)
    customs = frozenset(call.id for message in rest for call in message.tool_calls if call.is_custom)
    sends = _Sends(model.provider, customs, ttls)
    items = [item for message in whole_tool_runs(rest) for item in _items(message, sends)]
    if not items:  # system text alone
        items, instructions = [{"role": "user", "content": instructions or "."}], ""
    body |= {"model": model.upstream_id, "input": items, "store": False}
    if instructions:
        body["instructions"] = instructions
    body |= _thinking(request, model, effort, receipt)
    limit = quirks.limited(model, request.max_output_tokens)
    if limit is not None:
        body["max_output_tokens"] = limit = max(16, limit)  # the API's minimum
    receipt.limit(limit)
    if request.tools:
        body |= _tools(request, receipt)
    body |= identity(request, receipt)
    text = _text(request, model, receipt)
    if text:
        body["text"] = text
    wants_json = request.response_format is not None and request.response_format.kind == "json_object"
    if wants_json and not mentions_json(request.messages):
        body["instructions"] = f"{instructions}\n\nAnswer in JSON.".strip()
        receipt.adapt("response_format", "an instruction that asks for JSON is added, as this API demands")
    if stream:
        body["stream"] = True
    cut = receipt.cut_here(request.stop)
    return Wire(PATH, msgspec.json.encode(body), receipt=receipt.entries(), cut=cut)


def _thinking(
    request: ChatRequest, model: ModelFacts, effort: Effort | None, receipt: ReceiptWriter
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    level = quirks.nearest(effort, quirks.accepted_efforts(model, "reasoning_efforts")) if effort else None
    if level:
        fields["reasoning"] = {"effort": level}
    receipt.effort(level, model)
    if Capability.REASONING in model.capabilities:
        fields["include"] = [
            "reasoning.encrypted_content"
        ]  # so that reasoning can be sent back without stored state
    if quirks.takes_sampling(model, level or effort):
        receipt.keep("temperature", "top_p")
        if request.sampling.temperature is not None:
            fields["temperature"] = request.sampling.temperature
        if request.sampling.top_p is not None:
            fields["top_p"] = request.sampling.top_p
    return fields


def _tools(request: ChatRequest, receipt: ReceiptWriter) -> dict[str, Any]:
    fields: dict[str, Any] = {"tools": [_tool(tool, receipt) for tool in request.tools]}
    if request.tool_choice is not None:
        fields["tool_choice"] = _choice(request.tool_choice, request.tools)
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _text(request: ChatRequest, model: ModelFacts, receipt: ReceiptWriter) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.response_format is not None:
        fields["format"] = _format(request.response_format, receipt)
    if request.verbosity is not None and Capability.REASONING in model.capabilities:
        fields["verbosity"] = request.verbosity
        receipt.keep("verbosity")
    return fields


def _format(wanted: ResponseFormat, receipt: ReceiptWriter) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    return {"type": "json_schema", **wire_format(wanted, receipt)}


def _tool(tool: Tool, receipt: ReceiptWriter) -> dict[str, Any]:
    if tool.is_custom:
        return _custom_tool(tool)
    schema = tool.parameters or EMPTY_OBJECT
    wire: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "parameters": schema,
        "strict": is_strict("tools", schema, tool.strict, receipt),  # the server's default is true
    }
    if tool.description is not None:
        wire["description"] = tool.description
    return wire


def _custom_tool(tool: Tool) -> dict[str, Any]:
    wire: dict[str, Any] = {"type": "custom", "name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.grammar is not None:
        wire["format"] = {"type": "grammar", **msgspec.to_builtins(tool.grammar)}
    return wire


def _choice(choice: ToolChoice, tools: tuple[Tool, ...]) -> Any:
    customs = custom_names(tools)

    def named(name: str) -> dict[str, Any]:
        return {"type": "custom" if name in customs else "function", "name": name}

    if choice.mode == "named":
        return named(choice.name or "")
    if choice.allowed:
        return {
            "type": "allowed_tools",
            "mode": choice.mode,
            "tools": [named(name) for name in choice.allowed],
        }
    return choice.mode


class _Sends(NamedTuple):
    """`provider`: whose reasoning goes back; `customs`: ids of calls of custom tools; `ttls`: of caches."""

    provider: str
    customs: frozenset[str]
    ttls: Ttls


def _items(message: Message, sends: _Sends) -> Iterator[dict[str, Any]]:
    if message.role is Role.TOOL:
        in_parts = any(
            isinstance(part, Image | File | Audio) or breakpoint_of(part, sends.ttls)
            for part in message.parts
        )
        output = _content(message.parts, sends.ttls) if in_parts else message.text
        kind = "custom_tool_call_output" if message.tool_call_id in sends.customs else "function_call_output"
        yield {"type": kind, "call_id": message.tool_call_id, "output": output}
        return
    if message.role is not Role.ASSISTANT:
        yield {"role": message.role, "content": _content(message.parts, sends.ttls)}
        return
    for part in message.parts:  # reasoning stands before the text and calls it led to
        if isinstance(part, Opaque) and is_reasoning_item(part, sends.provider):
            yield part.data
    text = "".join(part.text for part in message.parts if isinstance(part, Text | Refusal))
    if text or not message.tool_calls:
        yield {"role": "assistant", "content": text}
    for call in message.tool_calls:
        if call.is_custom:
            written = {"type": "custom_tool_call", "input": call.arguments}
        else:
            written = {"type": "function_call", "arguments": call.arguments or "{}"}
        yield {**written, "call_id": call.id, "name": call.name}


def _content(parts: tuple[Part, ...], ttls: Ttls) -> str | list[dict[str, Any]]:
    if (plain := only_text(parts, ttls)) is not None:
        return plain
    return [wire for part in parts if (wire := _part(part, ttls)) is not None]


def _part(part: Part, ttls: Ttls) -> dict[str, Any] | None:
    marked = breakpoint_of(part, ttls)
    match part:
        case Text():
            return {"type": "input_text", "text": part.text, **marked}
        case Image():
            return {
                "type": "input_image",
                "image_url": part.url,
                "detail": part.detail or "auto",
                **marked,
            }
        case File() if part.url.startswith("data:"):
            return {
                "type": "input_file",
                "file_data": part.url,
                "filename": part.filename or "document.pdf",
                **marked,
            }
        case File():
            return {"type": "input_file", "file_url": part.url, **marked}
        case Audio():
            raise UpstreamFailure(FailureKind.BAD_REQUEST, "this model takes no audio")
        case _:
            return None
