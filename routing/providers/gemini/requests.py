"""Gemini generateContent: requests."""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

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
    Role,
    Text,
    Tool,
    ToolChoice,
)
from routing.providers.gemini.schemas import adapted_schema
from routing.providers.shared import quirks
from routing.providers.shared.conversation import split_system, system_text, whole_tool_runs, wrapped_system
from routing.providers.shared.media import guessed_type, inline
from routing.providers.shared.receipt import ReceiptWriter
from routing.providers.shared.schemas import EMPTY_OBJECT
from routing.providers.shared.wire import Wire

BASE = "/v1beta/models/"  # v1beta has all of v1, and more
PLACEHOLDER = "."
MAX_STOPS = 5
SERVICE_TIERS = {"flex": "flex", "default": "standard", "standard": "standard", "priority": "priority"}
MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}

# Replaces the signature of a call that another provider's model made; Gemini accepts this value
FOREIGN_SIGNATURE = base64.b64encode(b"skip_thought_signature_validator").decode()

LEVELS = {
    Effort.NONE: "MINIMAL",
    Effort.MINIMAL: "MINIMAL",
    Effort.LOW: "LOW",
    Effort.MEDIUM: "MEDIUM",
    Effort.HIGH: "HIGH",
    Effort.XHIGH: "HIGH",
    Effort.MAX: "HIGH",
}
MOST_BUDGET = 24_576  # tokens; no model of the budget kind takes more on all its sizes
BUDGETS = {  # tokens
    Effort.MINIMAL: 1024,
    Effort.LOW: 2048,
    Effort.MEDIUM: 10_000,
    Effort.HIGH: 16_384,
    Effort.XHIGH: MOST_BUDGET,
    Effort.MAX: MOST_BUDGET,
}

_Wire = dict[str, Any]


def build(request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool) -> Wire:
    receipt = ReceiptWriter(request, model.provider)
    receipt.keep("files", "audio", "tools", "tool_choice", "parallel_tool_calls", "response_format")
    receipt.keep("prefill")
    receipt.without_detail()
    receipt.own_reasoning_only()
    system, rest = split_system(request.messages)
    contents = _contents(whole_tool_runs(rest), model)
    instruction = system_text(system)
    if not contents:  # a request with system text alone: sent as the user's message
        contents, instruction = [_content("user", [{"text": instruction or PLACEHOLDER}])], ""
    body: _Wire = {"contents": contents}
    if instruction:
        body["systemInstruction"] = {"parts": [{"text": instruction}]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool, receipt) for tool in request.tools]}]
        if request.parallel_tool_calls is False:
            receipt.adapt("parallel_tool_calls", "only the first call of an answer is given")
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _choice(request.tool_choice)}
    if config := _config(request, model, effort, receipt):
        body["generationConfig"] = config
    if request.service_tier in SERVICE_TIERS:
        body["serviceTier"] = SERVICE_TIERS[request.service_tier]
        receipt.tier(body["serviceTier"])
    cut = receipt.cut_here(request.stop[MAX_STOPS:])
    name = quote(model.upstream_id.removeprefix("models/"), safe="-._")
    method = ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    return Wire(
        f"{BASE}{name}{method}",
        msgspec.json.encode(body),
        receipt=receipt.entries(),
        cut=cut,
    )


def follow_up(wire: Wire, token: str, left: int | None) -> Wire:
    """The request for the next leg of a long answer: the same request with the token of the last leg."""
    body = msgspec.json.decode(wire.body) | {"continuationToken": token}
    if left is not None:
        body["generationConfig"] = body.get("generationConfig", {}) | {"maxOutputTokens": left}
    return wire._replace(body=msgspec.json.encode(body))


def _config(request: ChatRequest, model: ModelFacts, effort: Effort | None, receipt: ReceiptWriter) -> _Wire:
    config: _Wire = {}
    receipt.keep("seed", "stop")
    limit = quirks.limited(model, request.max_output_tokens)
    receipt.limit(limit)
    if limit:
        config["maxOutputTokens"] = limit
    if quirks.takes_sampling(model, effort):
        sampling = request.sampling
        values = {
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "topK": sampling.top_k,
            "presencePenalty": sampling.presence_penalty,
            "frequencyPenalty": sampling.frequency_penalty,
        }
        config |= {name: value for name, value in values.items() if value is not None}
        receipt.keep("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")
    if request.sampling.seed is not None:
        config["seed"] = request.sampling.seed
    if request.stop:
        config["stopSequences"] = request.stop[:MAX_STOPS]
    if request.n > 1 and Capability.N in model.capabilities:
        config["candidateCount"] = request.n
        receipt.keep("n")
    if request.logprobs and Capability.LOGPROBS in model.capabilities:
        config["responseLogprobs"] = True
        receipt.keep("logprobs", "top_logprobs")
        if request.top_logprobs is not None:
            config["logprobs"] = request.top_logprobs
    if effort is not None and (thinking := _thinking(request, model, effort, limit)):
        config["thinkingConfig"] = thinking
        if "thinkingLevel" in thinking:
            receipt.effort(thinking["thinkingLevel"].lower(), model)
        elif thinking["thinkingBudget"] == request.thinking_budget:
            receipt.keep("reasoning_effort")
        elif thinking["thinkingBudget"] or effort is not Effort.NONE:
            receipt.adapt("reasoning_effort", f"a thinking budget of {thinking['thinkingBudget']} tokens")
        else:
            receipt.keep("reasoning_effort")
    return config | _format(request, receipt)


def _thinking(request: ChatRequest, model: ModelFacts, effort: Effort, limit: int | None) -> _Wire:
    kind = str(model.quirks.get("thinking", ""))
    if kind.startswith("thinkingLevel"):
        levels = model.quirks.get("thinking_levels") or ("LOW", "HIGH")
        level = LEVELS[effort] if LEVELS[effort] in levels else levels[0]
        return {"thinkingLevel": level, "includeThoughts": True}
    if not kind.startswith("thinkingBudget"):
        return {}
    if effort is Effort.NONE:
        return {"thinkingBudget": _least_thinking_budget(model)}
    budget = request.thinking_budget
    wanted = BUDGETS[effort] if budget is None else min(budget, MOST_BUDGET)
    # Thoughts count against the limit: leave half of it, or the caller's visible answer.
    most = limit if limit is None or request.max_answer_tokens is None else limit - request.max_answer_tokens
    if limit and most is not None and wanted >= most:
        wanted = max(quirks.room_to_think(request, limit), _least_thinking_budget(model))
    return {"thinkingBudget": wanted, "includeThoughts": True}


def _least_thinking_budget(model: ModelFacts) -> int:
    """Tokens; 0 where thinking can be switched off. The phrase names the models that cannot."""
    exception = re.search(r"([\w.-]+) min (\d+), cannot be 0", str(model.quirks.get("thinking", "")))
    if exception is None or not model.upstream_id.endswith(exception[1]):
        return 0
    return int(exception[2])


def _format(request: ChatRequest, receipt: ReceiptWriter) -> _Wire:
    wanted = request.response_format
    if wanted is None or wanted.kind == "text":
        return {}
    config: _Wire = {"responseMimeType": "application/json"}
    if wanted.kind == "json_schema":
        adapted = adapted_schema(wanted.schema or EMPTY_OBJECT)
        config["responseJsonSchema"] = adapted.schema
        for change in adapted.changes:
            receipt.adapt("response_format", change)
    return config


# Keywords that describe arguments of an object without properties, which this API does not take
_OF_ARGUMENTS = ("description", "additionalProperties", "patternProperties", "propertyNames", "required")


def _tool(tool: Tool, receipt: ReceiptWriter) -> _Wire:
    wire: _Wire = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.parameters.get("properties"):
        adapted = adapted_schema(tool.parameters)
        wire["parametersJsonSchema"] = adapted.schema
        for change in adapted.changes:
            receipt.adapt("tools", change)
    elif says := {name: tool.parameters[name] for name in _OF_ARGUMENTS if tool.parameters.get(name)}:
        words = f"The arguments, as a JSON Schema: {msgspec.json.encode(says).decode()}"
        wire["description"] = "\n".join(filter(None, [tool.description, words]))
        receipt.adapt("tools", "arguments without names are described in words")
    if tool.strict:
        receipt.adapt("tools", "not strict: this API has no such promise")
    return wire


def _choice(choice: ToolChoice) -> _Wire:
    wire: _Wire = {"mode": MODES[choice.mode]}
    if choice.mode == "named":
        wire["allowedFunctionNames"] = [choice.name]
    return wire


# Contents


def _contents(messages: tuple[Message, ...], model: ModelFacts) -> list[_Wire]:
    """Merge neighbours of one role, but keep function responses in a content of their own."""
    contents: list[_Wire] = []
    names: dict[str, str] = {}
    identities: dict[str, str] = {}
    previous: Role | None = None
    for message in messages:
        match message.role:
            case Role.ASSISTANT:
                names |= {call.id: call.name for call in message.tool_calls}
                identities |= _own_ids(message, model.provider)
                role, parts = "model", list(_model_parts(message, model))
            case Role.TOOL:
                role, parts = "user", [_response(message, names, identities)]
            case Role.SYSTEM:
                role, parts = "user", [{"text": wrapped_system(message)}] if message.text.strip() else []
            case _:
                role, parts = "user", [wire for part in message.parts if (wire := _part(part)) is not None]
        beside_results = (message.role is Role.TOOL) != (previous is Role.TOOL)
        if contents and contents[-1]["role"] == role and not (role == "user" and beside_results):
            contents[-1]["parts"].extend(parts)
        else:
            contents.append(_content(role, parts))
        previous = message.role
    return _valid_contents(contents)


def _content(role: str, parts: Sequence[_Wire]) -> _Wire:
    return {"role": role, "parts": list(parts)}


def _valid_contents(contents: list[_Wire]) -> list[_Wire]:
    """The contents with a user's turn first, and text in every turn of a user: the API demands both."""
    contents = [content for content in contents if content["parts"] or content["role"] == "user"]
    for content in contents:
        parts = content["parts"]
        if content["role"] == "user" and not any(
            "text" in part or "functionResponse" in part for part in parts
        ):
            parts.append({"text": PLACEHOLDER})
    if contents and contents[0]["role"] != "user":
        contents.insert(0, _content("user", [{"text": PLACEHOLDER}]))
    return contents


def _model_parts(message: Message, model: ModelFacts) -> Iterator[_Wire]:
    signature = next(
        (sign for part in message.parts if (sign := _text_signature(part, model.provider))),
        None,
    )
    for part in message.parts:
        if isinstance(part, Text | Refusal) and part.text:
            wire: _Wire = {"text": part.text}
            if signature is not None:
                wire["thoughtSignature"], signature = signature, None
            yield wire
    signed = quirks.flag(model, "needs_thought_signature_on_replay", default=False)
    for position, call in enumerate(message.tool_calls):
        function: _Wire = {"name": call.name, "args": _arguments(call.arguments)}
        own = _own(call.signature, model.provider)
        if own.get("id"):
            function["id"] = own["id"]
        wire = {"functionCall": function}
        if own.get("thoughtSignature"):
            wire["thoughtSignature"] = own["thoughtSignature"]
        elif signed and position == 0:  # Gemini signs the first of parallel calls only
            wire["thoughtSignature"] = FOREIGN_SIGNATURE
        yield wire


def _own(signature: Opaque | None, provider: str) -> _Wire:
    """The data that this provider attached to a call of its own model."""
    if signature is None or signature.provider != provider or not isinstance(signature.data, dict):
        return {}
    return signature.data


def _own_ids(message: Message, provider: str) -> dict[str, str]:
    """The provider's own ids of calls; ids of other providers are not sent."""
    return {
        call.id: identity
        for call in message.tool_calls
        if (identity := _own(call.signature, provider).get("id"))
    }


def _text_signature(part: Part, provider: str) -> str | None:
    if isinstance(part, Opaque) and part.provider == provider and isinstance(part.data, dict):
        return part.data.get("textSignature")
    return None


def _response(message: Message, names: dict[str, str], identities: dict[str, str]) -> _Wire:
    """A tool result. The output stays a string: the API would resolve a `$ref` in an object."""
    identity = message.tool_call_id or ""
    response: _Wire = {
        "name": names.get(identity) or message.name or "unknown",
        "response": {"error" if message.is_error else "output": message.text},
    }
    if identity in identities:
        response["id"] = identities[identity]
    media = [wire for part in message.parts if isinstance(part, Image | File) and (wire := _part(part))]
    if media:
        response["parts"] = media
    return {"functionResponse": response}


def _arguments(arguments: str) -> _Wire:
    if not arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(arguments)
    except ValueError:
        return {"invalid_json": arguments}
    return value if isinstance(value, dict) else {"value": value}


def _part(part: Part) -> _Wire | None:
    match part:
        case Text():
            return {"text": part.text} if part.text else None
        case Image():
            return _media(part.url, "image/png")
        case File():
            return _media(part.url, "application/pdf")
        case Audio():
            return {"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}
        case _:
            return None


def _media(url: str, default_type: str) -> _Wire:
    data = inline(url, default_type)
    if data is None:
        return {"fileData": {"fileUri": url, "mimeType": guessed_type(url, default_type)}}
    return {"inlineData": {"mimeType": data.media_type, "data": data.data}}
