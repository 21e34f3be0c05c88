"""Anthropic Messages API: requests."""

from typing import Any

import msgspec

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import ChatRequest, Message, Role, Text, Tool
from routing.providers.anthropic import betas
from routing.providers.anthropic.messages import (
    LIFETIMES,
    PLACEHOLDER,
    Block,
    marked,
    text_block,
    turns,
)
from routing.providers.anthropic.schemas import (
    MOST_STRICT_TOOLS,
    for_structured_output,
    why_not_structured_output,
)
from routing.providers.anthropic.thinking import is_thinking
from routing.providers.shared import quirks
from routing.providers.shared.conversation import split_system, system_text, whole_tool_runs
from routing.providers.shared.receipt import ReceiptWriter
from routing.providers.shared.schemas import EMPTY_OBJECT
from routing.providers.shared.wire import Wire

PATH = "/v1/messages"
VERSION = "2026-10-21"
SAMPLING_VERSION = "2023-06-01"  # the last version that takes sampling parameters

MAX_CACHE_MARKS = 4
SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
JSON_ONLY = "Answer with one JSON object and nothing else: no prose around it, no code fence."
TO_SCHEMA = "Answer with one JSON document and nothing else, no code fence. Its JSON Schema: "

# Thinking budgets in tokens, for models without efforts
BUDGETS = {
    Effort.MINIMAL: 1024,
    Effort.LOW: 2048,
    Effort.MEDIUM: 10_000,
    Effort.HIGH: 16_384,
    Effort.XHIGH: 32_768,
    Effort.MAX: 32_768,
}
MIN_BUDGET = 1024


def build(request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool) -> Wire:
    system, rest = split_system(request.messages)
    notes: list[str] = []  # instructions in words, in place of parameters the model lacks
    receipt = ReceiptWriter(request, model.provider)
    receipt.keep("files", "tools", "tool_choice", "parallel_tool_calls", "response_format")
    receipt.without_detail()
    receipt.own_reasoning_only()
    limit = quirks.limited(model, request.max_output_tokens) or model.max_output_tokens
    receipt.limit(limit)
    body: dict[str, Any] = {"model": model.upstream_id, "max_tokens": limit}
    body |= _thinking(request, model, effort, limit, receipt)
    body["messages"] = messages = turns(whole_tool_runs(rest), model)
    if quirks.flag(model, "assistant_prefill", default=False):
        receipt.keep("prefill")
    else:
        receipt.adapt("prefill", "asked to continue in words")
    if request.tools and not _tools_off(request, rest):
        body |= _tools(request, model, notes, receipt)
    else:
        receipt.adapt("tools", "left out: none may be called")
    body |= _format(request, body, notes, receipt)
    _place_system(body, system, messages, notes)
    if stops := [stop for stop in request.stop if stop.strip()]:
        body["stop_sequences"] = stops
        receipt.keep("stop")
    cut = receipt.cut_here(tuple(stop for stop in request.stop if not stop.strip()))  # blank ones are refused
    if (user := receipt.user()) is not None:
        body["metadata"] = {"user_id": user}
    if request.service_tier in SERVICE_TIERS:
        body["service_tier"] = SERVICE_TIERS[request.service_tier]
        receipt.tier(body["service_tier"])
    sampling = _sampling(request, model, body.get("thinking"), receipt)
    body |= sampling
    if stream:
        body["stream"] = True
    _bound_cache_marks(body, receipt)
    betas.add_fields(body, request, model, receipt)
    version = SAMPLING_VERSION if sampling else VERSION
    return Wire(
        PATH,
        msgspec.json.encode(body),
        (("anthropic-version", version), *betas.headers(request, model, receipt)),
        receipt=receipt.entries(),
        cut=cut,
    )


# Reasoning and sampling


def _thinking(
    request: ChatRequest, model: ModelFacts, effort: Effort | None, limit: int, receipt: ReceiptWriter
) -> dict[str, Any]:
    if effort is None:
        if request.effort is Effort.NONE and not quirks.flag(model, "thinking_on_by_default", default=True):
            receipt.keep("reasoning_effort")
        return {}
    levels = tuple(Effort(name) for name in model.quirks.get("effort_levels", ()) if name in quirks.ORDER)
    always_on = quirks.flag(model, "thinking_always_on", default=False)
    if effort is Effort.NONE and not always_on:
        off = model.quirks.get("thinking_off")
        if off or not quirks.flag(model, "thinking_on_by_default", default=True):
            receipt.keep("reasoning_effort")
        return {"thinking": {"type": off}} if off else {}
    fields: dict[str, Any] = {}
    if level := quirks.nearest(effort, levels):
        fields["output_config"] = {"effort": level}
        receipt.effort(level, model)
    types = model.quirks.get("thinking_types", ())
    if "adaptive" in types:
        fields["thinking"] = {"type": "adaptive", "display": "summarized"}
    elif "enabled" in types and _may_enable(request, model):
        wanted = request.thinking_budget
        room = quirks.room_to_think(request, limit)  # the rest is left for the answer
        budget = min(BUDGETS.get(effort, MIN_BUDGET), room)
        if wanted is not None:
            budget = wanted if wanted < limit else room
        if budget >= MIN_BUDGET:
            fields["thinking"] = {"type": "enabled", "budget_tokens": budget}
            if budget == wanted:
                receipt.keep("reasoning_effort")
            else:
                receipt.adapt("reasoning_effort", f"a thinking budget of {budget} tokens")
    return fields


def _may_enable(request: ChatRequest, model: ModelFacts) -> bool:
    """Manual thinking is refused with a forced tool, and in a tool loop whose thinking blocks are lost."""
    if request.tools and request.tool_choice and request.tool_choice.mode in ("required", "named"):
        return False
    for message in reversed(request.messages):
        if message.role is Role.ASSISTANT:
            lost = not any(is_thinking(part, model.provider) for part in message.parts)
            return not (message.tool_calls and lost)
        if message.role is Role.USER:
            return True
    return True


def _sampling(
    request: ChatRequest, model: ModelFacts, thinking: Block | None, receipt: ReceiptWriter
) -> dict[str, Any]:
    """Temperature clamped to 0–1, or else top_p: both together are refused. Thinking excludes all of them."""
    sampling = request.sampling
    if quirks.sampling_rule(model) is quirks.SamplingRule.REJECTED:
        return {}
    if thinking is not None and thinking["type"] in ("adaptive", "enabled"):
        for name in ("temperature", "top_p", "top_k"):
            receipt.drop(name, "the model takes none while it thinks")
        return {}
    fields: dict[str, Any] = {}
    if sampling.temperature is not None:
        fields["temperature"] = min(1.0, max(0.0, sampling.temperature))
        receipt.keep("temperature")
        if fields["temperature"] != sampling.temperature:
            receipt.adapt("temperature", f"{sampling.temperature:g} became {fields['temperature']:g}")
        receipt.drop("top_p", "not taken together with temperature")
    elif sampling.top_p is not None:
        fields["top_p"] = sampling.top_p
        receipt.keep("top_p")
    if sampling.top_k is not None:
        fields["top_k"] = sampling.top_k
        receipt.keep("top_k")
    return fields


# Tools and formats


def _tools_off(request: ChatRequest, messages: tuple[Message, ...]) -> bool:
    """Choice "none" leaves the tools out, unless the history has calls: those demand their definitions."""
    forbidden = request.tool_choice is not None and request.tool_choice.mode == "none"
    return forbidden and not any(message.tool_calls for message in messages)


def _tools(
    request: ChatRequest, model: ModelFacts, notes: list[str], receipt: ReceiptWriter
) -> dict[str, Any]:
    fields: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    for tool, wire in zip(request.tools, fields["tools"], strict=True):
        if tool.strict and (why := _why_not_strict(request)) is None:
            adapted = for_structured_output(wire["input_schema"])
            wire |= {"input_schema": adapted.schema, "strict": True}
            for change in adapted.changes:
                receipt.adapt("tools", change)
        elif tool.strict:
            receipt.adapt("tools", f"not strict: {why}")
    mode = request.tool_choice.mode if request.tool_choice else "auto"
    name = request.tool_choice.name if request.tool_choice else None
    choice: dict[str, Any] | None = None
    if mode == "none":
        choice = {"type": "none"}
    elif mode in ("required", "named") and not quirks.flag(model, "forced_tool_choice", default=True):
        choice = {"type": "auto"}
        receipt.adapt("tool_choice", "asked for in words: this model cannot be made to call a tool")
        notes.append(f"Call the tool {name} now." if name else "Answer by calling a tool, not with text.")
    elif mode == "required":
        choice = {"type": "any"}
    elif mode == "named":
        choice = {"type": "tool", "name": name}
    elif request.tool_choice is not None:
        choice = {"type": "auto"}
    if request.parallel_tool_calls is False and mode != "none":
        choice = (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    if choice is not None:
        fields["tool_choice"] = choice
    return fields


def _tool(tool: Tool) -> Block:
    schema = tool.parameters or EMPTY_OBJECT
    wire: Block = {
        "name": tool.name,
        "input_schema": schema if "type" in schema else schema | {"type": "object"},
    }
    if tool.description is not None:
        wire["description"] = tool.description
    return marked(wire, tool.cache)


def _why_not_strict(request: ChatRequest) -> str | None:
    """The reason not to send strict schemas; the API's limits hold for all schemas of a request together."""
    schemas = [tool.parameters for tool in request.tools if tool.strict]
    if len(schemas) > MOST_STRICT_TOOLS:
        return f"{len(schemas)} tools are, more than {MOST_STRICT_TOOLS}"
    wanted = request.response_format
    if wanted is not None and wanted.schema:
        schemas.append(wanted.schema)
    alone = (why for schema in schemas if (why := why_not_structured_output(schema)))
    return next(alone, None) or why_not_structured_output({"anyOf": schemas})


def _format(
    request: ChatRequest, body: dict[str, Any], notes: list[str], receipt: ReceiptWriter
) -> dict[str, Any]:
    wanted = request.response_format
    if wanted is None or wanted.kind == "text":
        return {}
    if wanted.kind == "json_object":
        notes.append(JSON_ONLY)
        receipt.adapt("response_format", "asked for in words")
        return {}
    schema = wanted.schema or EMPTY_OBJECT
    if why := why_not_structured_output(schema):
        notes.append(TO_SCHEMA + msgspec.json.encode(schema).decode())
        receipt.adapt("response_format", f"asked for in words: {why}")
        return {}
    adapted = for_structured_output(schema)
    for change in adapted.changes:
        receipt.adapt("response_format", change)
    config = dict(body.get("output_config", {}))
    return {"output_config": config | {"format": {"type": "json_schema", "schema": adapted.schema}}}


def _place_system(
    body: dict[str, Any], system: tuple[Message, ...], messages: list[Block], notes: list[str]
) -> None:
    """Put system text at the top level, or into a user message where the request has no other message."""
    blocks = [
        marked({"type": "text", "text": part.text}, part.cache)
        for message in system
        for part in message.parts
        if isinstance(part, Text) and part.text.strip()
    ]
    if not messages:
        messages.append({"role": "user", "content": blocks or [text_block(PLACEHOLDER)]})
        blocks = []
    if any("cache_control" in block for block in blocks):
        body["system"] = [*blocks, *(text_block(note) for note in notes)]
    elif joined := "\n\n".join([*filter(None, [system_text(system) if blocks else ""]), *notes]):
        body["system"] = joined


def _bound_cache_marks(body: dict[str, Any], receipt: ReceiptWriter) -> None:
    """Keep the last four cache marks, the most the API takes; their prefixes contain the others."""
    places: list[Block] = [*body.get("tools", ())]
    if isinstance(body.get("system"), list):
        places.extend(body["system"])
    for turn in body["messages"]:
        places.extend(turn["content"])
    marks = [place for place in places if "cache_control" in place]
    receipt.keep("cache_control")
    for ttl in receipt.cache_ttls():
        if ttl is not None and LIFETIMES[ttl] != ttl:
            receipt.adapt("cache_control", f"{ttl} became {LIFETIMES[ttl]}")
    for place in marks[:-MAX_CACHE_MARKS]:
        del place["cache_control"]
        receipt.adapt("cache_control", f"the last {MAX_CACHE_MARKS} of {len(marks)} marks")
