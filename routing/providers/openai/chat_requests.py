"""OpenAI Chat Completions: requests to OpenAI's models, and to servers that imitate the API."""

from collections.abc import Iterator
from typing import Any

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
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from routing.providers.openai.common import (
    CHAT_PARAMETERS,
    CHAT_TTLS,
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
from routing.providers.openai.reasoning import REASONING_FIELDS
from routing.providers.shared import quirks
from routing.providers.shared.conversation import whole_tool_runs
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.receipt import ReceiptWriter, media_name
from routing.providers.shared.schemas import EMPTY_OBJECT
from routing.providers.shared.tools.forms import custom_names
from routing.providers.shared.wire import Wire

PATH = "/chat/completions"
UNKNOWN_QUIRK = "pass_unknown"  # of a declared upstream: it gets parameters that nothing here knows
MAX_STOPS = 4


def build(request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool) -> Wire:
    """A request to OpenAI, without the parameters that the model refuses."""
    receipt = ReceiptWriter(request, model.provider)
    body = _common(request, model, receipt, stream=stream, official=True)
    accepted = quirks.accepted_efforts(model, "reasoning_efforts")
    level = quirks.nearest(effort, tuple(each for each in accepted if each != Effort.MAX)) if effort else None
    if level:
        body["reasoning_effort"] = level
    receipt.effort(level, model)
    if quirks.takes_sampling(model, level or effort):
        body |= _sampling(request.sampling, receipt)
        if request.logprobs:
            body |= _logprobs(request, receipt)
    cut = request.stop
    if request.stop and _takes_stop(model, level or effort):
        body["stop"], cut = request.stop[:MAX_STOPS], request.stop[MAX_STOPS:]
        receipt.keep("stop")
    if request.sampling.seed is not None and quirks.takes(model, Capability.SEED):
        body["seed"] = request.sampling.seed
        receipt.keep("seed")
    if request.n > 1 and quirks.takes(model, Capability.N):
        body["n"] = request.n
        receipt.keep("n")
    cut = receipt.cut_here(cut)
    limit = quirks.limited(model, request.max_output_tokens)
    receipt.limit(limit)
    if limit is not None:
        body[_max_tokens_name(model, "max_completion_tokens")] = limit
    body |= identity(request, receipt)
    if request.verbosity is not None and Capability.REASONING in model.capabilities:
        body["verbosity"] = request.verbosity
        receipt.keep("verbosity")
    return Wire(PATH, msgspec.json.encode(body), receipt=receipt.entries(), cut=cut)


def build_compatible(request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool) -> Wire:
    """A request to a compatible server: all parameters, under the names that most servers know."""
    receipt = ReceiptWriter(request, model.provider)
    body = _common(request, model, receipt, stream=stream, official=False)
    efforts = quirks.accepted_efforts(model, "reasoning_efforts")
    level = quirks.nearest(effort, efforts) if effort else None
    if level is None and not efforts and quirks.flag(model, UNKNOWN_QUIRK, default=False):
        level = request.effort
    if level:
        body["reasoning_effort"] = level
    receipt.effort(level, model)
    body |= _sampling(request.sampling, receipt)
    if request.logprobs:
        body |= _logprobs(request, receipt)
    receipt.keep("seed", "top_k", "stop", "n", "user")
    if request.sampling.seed is not None:
        body["seed"] = request.sampling.seed
    if request.sampling.top_k is not None:
        body["top_k"] = request.sampling.top_k  # an extension vLLM, Ollama and llama.cpp share
    if request.stop:
        body["stop"] = request.stop
    if request.n > 1:
        body["n"] = request.n
    limit = quirks.limited(model, request.max_output_tokens)
    receipt.limit(limit)
    if limit is not None:
        body[_max_tokens_name(model, "max_tokens")] = limit
    if (user := receipt.user()) is not None:
        body["user"] = user
    return Wire(PATH, msgspec.json.encode(body), receipt=receipt.entries())


def _common(
    request: ChatRequest, model: ModelFacts, receipt: ReceiptWriter, *, stream: bool, official: bool
) -> dict[str, Any]:
    if official:
        body = passed_through(
            request, model, receipt, CHAT_PARAMETERS, unknown=model.id == request.named_model
        )
    else:
        passes = quirks.flag(model, UNKNOWN_QUIRK, default=False)
        body = passed_through(request, model, receipt, frozenset(), unknown=passes)
    receipt.keep("tools", "tool_choice", "parallel_tool_calls", "response_format", "images", "files", "audio")
    receipt.no_prefill()
    body["model"] = model.upstream_id
    ttls = CHAT_TTLS if official and takes_marks(request, model, receipt, CHAT_TTLS) else None
    thinker = None if official else model.provider
    body["messages"] = messages = list(_messages(request, receipt, ttls, thinker))
    if request.tools:
        body["tools"] = [_tool(tool, receipt) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _choice(request.tool_choice, request.tools)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        body["response_format"] = _format(request.response_format, receipt)
        if request.response_format.kind == "json_object" and not mentions_json(request.messages):
            messages.insert(0, {"role": "system", "content": "Answer in JSON."})
            receipt.adapt("response_format", "a message that asks for JSON is added, as this API demands")
    if stream:
        body["stream"] = True
        if quirks.flag(model, "stream_usage", default=True):
            body["stream_options"] = {"include_usage": True}
    return body


def _max_tokens_name(model: ModelFacts, default: str) -> str:
    phrase = str(model.quirks.get("max_tokens_param", default))
    return "max_completion_tokens" if phrase.startswith("max_completion_tokens") else "max_tokens"


def _takes_stop(model: ModelFacts, effort: Effort | None) -> bool:
    """Return whether the model takes stop sequences: it does where it takes sampling, or by its facts."""
    if quirks.sampling_rule(model) is quirks.SamplingRule.REJECTED:
        return Capability.STOP in model.capabilities
    return quirks.takes_sampling(model, effort)


_SAMPLING_NAMES = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias")
_NO_SAMPLING = Sampling()


def _sampling(sampling: Sampling, receipt: ReceiptWriter) -> dict[str, Any]:
    receipt.keep(*_SAMPLING_NAMES)
    if sampling == _NO_SAMPLING:
        return {}
    values = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logit_bias": sampling.logit_bias,
    }
    return {name: value for name, value in values.items() if value is not None}


def _logprobs(request: ChatRequest, receipt: ReceiptWriter) -> dict[str, Any]:
    receipt.keep("logprobs", "top_logprobs")
    if request.top_logprobs is None:
        return {"logprobs": True}
    return {"logprobs": True, "top_logprobs": request.top_logprobs}


def _messages(
    request: ChatRequest, receipt: ReceiptWriter, ttls: Ttls, thinker: str | None
) -> Iterator[dict[str, Any]]:
    """Tool messages take text only: images and files of results follow in a user message.

    `thinker`: the provider whose reasoning goes back to it in plain text, if there is one.
    """
    shown: list[dict[str, Any]] = []
    for message in whole_tool_runs(request.messages):
        if shown and message.role is not Role.TOOL:
            yield {"role": "user", "content": shown}
            shown = []
        turn = _message(message, ttls)
        if thinker is not None and message.tool_calls:
            turn |= _reasoning(message, thinker)
        yield turn
        if message.role is not Role.TOOL:
            continue
        media = [part for part in message.parts if isinstance(part, Image | File | Audio)]
        if media:
            shown.append({"type": "text", "text": f"Belongs to the result of call {message.tool_call_id}:"})
            shown += [wire for part in media if (wire := _part(part, ttls)) is not None]
            for name in {media_name(part) for part in media}:
                receipt.adapt(name, "those of tool results are shown after the results")
    if shown:
        yield {"role": "user", "content": shown}


def _message(message: Message, ttls: Ttls) -> dict[str, Any]:
    match message.role:
        case Role.TOOL:
            content = _words(message, ttls)
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
        case Role.ASSISTANT:
            return _assistant(message, ttls)
        case _:
            wire: dict[str, Any] = {"role": message.role, "content": _content(message.parts, ttls)}
            if message.name is not None:
                wire["name"] = message.name
            return wire


def _words(message: Message, ttls: Ttls) -> str | list[dict[str, Any]]:
    """The texts of a message, joined unless a cache mark is among them."""
    texts = tuple(part for part in message.parts if isinstance(part, Text))
    if ttls is None or not any(part.cache for part in texts):
        return message.text
    return _content(texts, ttls)


def _assistant(message: Message, ttls: Ttls) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant"}
    refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
    if message.text or not (message.tool_calls or refusals):
        wire["content"] = _words(message, ttls)
    if refusals:
        wire["refusal"] = "".join(refusals)
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [_call(call) for call in message.tool_calls]
    return wire


def _reasoning(message: Message, provider: str) -> dict[str, Any]:
    """The reasoning before tool calls, in the field it came in; else as the caller sent it."""
    own = [part.data for part in message.parts if isinstance(part, Opaque) and part.provider == provider]
    fields = {
        field: data[field]
        for data in own
        if isinstance(data, dict)
        for field in REASONING_FIELDS
        if isinstance(data.get(field), str)
    }
    return fields or ({} if message.reasoning is None else {"reasoning_content": message.reasoning})


def _call(call: ToolCall) -> dict[str, Any]:
    if call.is_custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _content(parts: tuple[Part, ...], ttls: Ttls) -> str | list[dict[str, Any]]:
    if (plain := only_text(parts, ttls)) is not None:
        return plain
    return [wire for part in parts if (wire := _part(part, ttls)) is not None]


def _part(part: Part, ttls: Ttls) -> dict[str, Any] | None:
    marked = breakpoint_of(part, ttls)
    match part:
        case Text():
            return {"type": "text", "text": part.text, **marked}
        case Image():
            image = {"url": part.url} if part.detail is None else {"url": part.url, "detail": part.detail}
            return {"type": "image_url", "image_url": image, **marked}
        case File():
            if not part.url.startswith("data:"):
                raise UpstreamFailure(FailureKind.BAD_REQUEST, "this model takes files only as data: URLs")
            return {
                "type": "file",
                "file": {"file_data": part.url, "filename": part.filename or "document.pdf"},
                **marked,
            }
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case _:
            return None


def _tool(tool: Tool, receipt: ReceiptWriter) -> dict[str, Any]:
    if tool.is_custom:
        return {"type": "custom", "custom": _custom_tool(tool)}
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters or EMPTY_OBJECT}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = is_strict("tools", function["parameters"], tool.strict, receipt)
    return {"type": "function", "function": function}


def _custom_tool(tool: Tool) -> dict[str, Any]:
    custom: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        custom["description"] = tool.description
    if tool.grammar is not None:
        custom["format"] = {"type": "grammar", "grammar": msgspec.to_builtins(tool.grammar)}
    return custom


def _choice(choice: ToolChoice, tools: tuple[Tool, ...]) -> Any:
    customs = custom_names(tools)

    def named(name: str) -> dict[str, Any]:
        kind = "custom" if name in customs else "function"
        return {"type": kind, kind: {"name": name}}

    if choice.mode == "named":
        return named(choice.name or "")
    if choice.allowed:
        allowed = {"mode": choice.mode, "tools": [named(name) for name in choice.allowed]}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    return choice.mode


def _format(wanted: ResponseFormat, receipt: ReceiptWriter) -> dict[str, Any]:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    return {"type": "json_schema", "json_schema": wire_format(wanted, receipt)}
