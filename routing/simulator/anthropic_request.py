"""Reads a Messages request: every check of the real endpoint, then the neutral ask."""

import re
from typing import Any

import msgspec

from routing.simulator.anthropic_rules import COMPLAIN, check_access, check_quirks, effort_of, model_named
from routing.simulator.ask import Ask, ToolSpec, Turn
from routing.simulator.fields import ANY, BOOL, LIST, NUMBER, OBJECT, TEXT, WHOLE, Field, check, check_value
from routing.simulator.meter import DOCUMENT_TOKENS, image_tokens
from routing.simulator.models import Model
from routing.simulator.refused import Refused, anthropic_error
from routing.simulator.signatures import check_thinking
from routing.simulator.wire import Request, encode

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_USER_BLOCKS = ("text", "image", "document", "tool_result", "search_result")
_ASSISTANT_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use", "document")
_MOST_CACHE_MARKS = 4

_FIELDS: dict[str, Field] = {
    "model": Field(TEXT, required=True),
    "messages": Field(LIST, required=True),
    "max_tokens": Field(WHOLE, low=1, required=True),
    "system": Field((str, list)),
    "temperature": Field(NUMBER, low=0, high=1),
    "top_p": Field(NUMBER, low=0, high=1),
    "top_k": Field(WHOLE, low=0),
    "stop_sequences": Field(LIST),
    "stream": Field(BOOL),
    "tools": Field(LIST),
    "tool_choice": Field(OBJECT),
    "thinking": Field(OBJECT),
    "output_config": Field(OBJECT),
    "metadata": Field(OBJECT),
    "service_tier": Field(TEXT, choices=("auto", "standard_only")),
    "speed": Field(TEXT, choices=("standard", "fast")),
    "cache_control": Field(OBJECT),
    "container": Field(ANY),
    "context_management": Field(OBJECT),
    "diagnostics": Field(OBJECT),
    "inference_geo": Field(TEXT),
}


class Read(msgspec.Struct, frozen=True):
    """A read request. `marked_turns`: turns up to the last cache mark, -1 for none; `ttl` of that mark."""

    ask: Ask
    marked_turns: int
    ttl: str


class _Reader:
    """Collects turns, splitting one where the caller put a cache mark."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.marks: list[tuple[int, str]] = []

    def mark(self, block: dict[str, Any]) -> bool:
        control = block.get("cache_control")
        if control is None:
            return False
        self.marks.append((len(self.turns), str(control.get("ttl", "5m"))))
        return True


def read_request(request: Request, body: dict[str, Any], *, counting: bool = False) -> Read:
    """`counting`: the request is for count_tokens, where max_tokens is absent."""
    version = check_access(request)
    if counting:
        body = {"max_tokens": 1, **body}
        body.pop("stream", None)
    check(body, _FIELDS, COMPLAIN)
    model = model_named(body["model"])
    if not body["messages"]:
        raise anthropic_error(400, "messages: at least one message is required")
    tools, tool_marks = _tools(body.get("tools") or [])
    check_quirks(model, body, version)
    effort = effort_of(model, body)
    reader = _Reader()
    reader.marks.extend((0, ttl) for ttl in tool_marks)
    _read_system(body.get("system"), reader)
    prefill = _read_messages(body, model, version, reader)
    if body.get("cache_control"):
        reader.mark(body)
        reader.marks[-1] = (len(reader.turns), reader.marks[-1][1])
    if len(reader.marks) > _MOST_CACHE_MARKS:
        raise anthropic_error(
            400, f"A maximum of 4 blocks with cache_control may be provided. Found {len(reader.marks)}."
        )
    marked, ttl = reader.marks[-1] if reader.marks else (-1, "5m")
    choice, name, parallel = _choice(body, tools)
    ask = Ask(
        model=model,
        turns=tuple(reader.turns),
        tools=tools,
        choice=choice,  # type: ignore[arg-type]
        choice_name=name,
        parallel=parallel,
        schema=_schema(body),
        max_tokens=body["max_tokens"],
        stop=_stops(body),
        effort=effort,
        continues=prefill,
    )
    return Read(ask, marked, ttl)


def _read_system(system: Any, reader: _Reader) -> None:
    if isinstance(system, str) and system:
        reader.turns.append(Turn("system", system))
    for number, block in enumerate(system if isinstance(system, list) else []):
        path = f"system.{number}"
        check_value(block, Field(OBJECT), COMPLAIN, path)
        reader.turns.append(Turn("system", _text(block, path, "system")))
        reader.mark(block)


def _read_messages(body: dict[str, Any], model: Model, version: str, reader: _Reader) -> str:
    """Adds the turns and returns the text of a trailing assistant turn."""
    messages: list[Any] = body["messages"]
    pending: list[str] = []
    prefill = ""
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        check_value(message, Field(OBJECT), COMPLAIN, where)
        for needed in ("role", "content"):
            if message.get(needed) is None:
                raise COMPLAIN.missing(f"{where}.{needed}")
        role = _role(message["role"], number, model, where)
        blocks = _blocks(message["content"], where, last=number == len(messages) - 1 and role == "assistant")
        _check_results(blocks, pending, number, role)
        pending = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
        if role == "assistant":
            check_thinking(body, number, blocks, model)
        before = len(reader.turns)
        _read_blocks(blocks, role, where, version, reader)
        if role == "assistant" and number == len(messages) - 1:
            prefill = "".join(turn.text for turn in reader.turns[before:])
            if prefill != prefill.rstrip():
                raise anthropic_error(
                    400, "messages: final assistant content cannot end with trailing whitespace"
                )
    if pending:
        raise _unanswered(pending, len(messages) - 1)
    return prefill


def _role(role: Any, number: int, model: Model, where: str) -> str:
    check_value(role, Field(TEXT), COMPLAIN, f"{where}.role")
    if role == "system":
        if model.quirks.get("mid_conversation_system", "rejected") == "rejected":
            raise anthropic_error(
                400,
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not '
                '"system" as an input message role.',
            )
    elif role not in {"user", "assistant"}:
        raise COMPLAIN.bad_choice(f"{where}.role", role, ("user", "assistant"))
    if number == 0 and role == "assistant":
        raise anthropic_error(400, 'messages: first message must use the "user" role')
    return str(role)


def _blocks(content: Any, where: str, *, last: bool) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    check_value(content, Field((str, list)), COMPLAIN, f"{where}.content")
    if not content and not last:
        raise anthropic_error(
            400,
            f"{where}: all messages must have non-empty content except for the optional final assistant message",
        )
    for number, block in enumerate(content):
        check_value(block, Field(OBJECT), COMPLAIN, f"{where}.content.{number}")
    return list(content)


def _check_results(blocks: list[dict[str, Any]], pending: list[str], number: int, role: str) -> None:
    """All results of one assistant turn stand first in the next single user message (providers.md §3)."""
    results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
    leading = 0
    while leading < len(blocks) and blocks[leading].get("type") == "tool_result":
        leading += 1
    first = set(results[:leading]) if role == "user" else set()
    missing = [call for call in pending if call not in first]
    if missing:
        raise _unanswered(missing, number - 1)
    stray = next((result for result in results if result not in pending), None)
    if stray is not None:
        raise anthropic_error(
            400,
            f"messages.{number}.content.{results.index(stray)}: unexpected `tool_use_id` found in `tool_result` "
            f"blocks: {stray}. Each `tool_result` block must have a corresponding `tool_use` block in the previous "
            "message.",
        )


def _unanswered(missing: list[str], number: int) -> Refused:
    return anthropic_error(
        400,
        f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message.",
    )


def _read_blocks(blocks: list[dict[str, Any]], role: str, where: str, version: str, reader: _Reader) -> None:
    """One turn for the message, or several when cache marks cut it."""
    texts: list[str] = []
    results: list[str] = []
    calls: list[str] = []
    media = 0

    def close() -> None:
        nonlocal media
        reader.turns.append(
            Turn(role, "\n".join(texts), tuple(results), tuple(calls), media)  # type: ignore[arg-type]
        )
        texts.clear(), results.clear(), calls.clear()
        media = 0

    for number, block in enumerate(blocks):
        path = f"{where}.content.{number}"
        kind = block.get("type")
        if kind is None:
            raise COMPLAIN.missing(f"{path}.type")
        allowed = _ASSISTANT_BLOCKS if role == "assistant" else _USER_BLOCKS
        check_value(kind, Field(TEXT, choices=allowed), COMPLAIN, f"{path}.type")
        match kind:
            case "text":
                texts.append(_text(block, path, "messages"))
                if block.get("citations") and role == "user" and version >= "2026-10-21":
                    raise anthropic_error(400, f"{path}.text.citations: Extra inputs are not permitted")
            case "thinking":
                calls.append(str(block.get("thinking", "")))
            case "tool_use":
                calls.append(_call(block, path))
            case "tool_result":
                said, seen = _result(block, path)
                results.append(said)
                media += seen
            case "image":
                media += _image(block, path)
            case "document":
                if role == "assistant" and version >= "2026-10-21":
                    raise anthropic_error(
                        400, f"{path}: document blocks are not permitted in assistant messages"
                    )
                media += DOCUMENT_TOKENS
        if block.get("cache_control"):
            close()
            reader.mark(block)
    if texts or results or calls or media or not blocks:
        close()


def _text(block: dict[str, Any], path: str, where: str) -> str:
    text = block.get("text")
    if text is None:
        raise COMPLAIN.missing(f"{path}.text.text")
    check_value(text, Field(TEXT), COMPLAIN, f"{path}.text.text")
    if not text:
        raise anthropic_error(400, f"{where}: text content blocks must be non-empty")
    if not text.strip():
        raise anthropic_error(400, f"{where}: text content blocks must contain non-whitespace text")
    return str(text)


def _call(block: dict[str, Any], path: str) -> str:
    for needed in ("id", "name", "input"):
        if block.get(needed) is None:
            raise COMPLAIN.missing(f"{path}.tool_use.{needed}")
    if not _ID.fullmatch(str(block["id"])):
        raise anthropic_error(400, f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    check_value(block["input"], Field(OBJECT), COMPLAIN, f"{path}.tool_use.input")
    return encode({"name": block["name"], "input": block["input"]}).decode()


def _result(block: dict[str, Any], path: str) -> tuple[str, int]:
    if block.get("tool_use_id") is None:
        raise COMPLAIN.missing(f"{path}.tool_result.tool_use_id")
    content = block.get("content") or ""
    if isinstance(content, str):
        return content, 0
    texts = [str(part.get("text", "")) for part in content if part.get("type") == "text"]
    images = sum(_image(part, path) for part in content if part.get("type") == "image")
    return "\n".join(texts), images


def _image(block: dict[str, Any], path: str) -> int:
    source = block.get("source")
    if source is None:
        raise COMPLAIN.missing(f"{path}.image.source")
    if source.get("type") == "base64":
        where = f"{path}.image.source.base64.media_type"
        check_value(source.get("media_type"), Field(TEXT, choices=_MEDIA_TYPES), COMPLAIN, where)
        return image_tokens("anthropic", str(source.get("data", "")))
    return image_tokens("anthropic", None)


def _tools(tools: list[Any]) -> tuple[tuple[ToolSpec, ...], list[str]]:
    """The tools, and the ttl of each cache mark on one."""
    found: list[ToolSpec] = []
    marks: list[str] = []
    for number, tool in enumerate(tools):
        where = f"tools.{number}"
        check_value(tool, Field(OBJECT), COMPLAIN, where)
        if tool.get("name") is None:
            raise COMPLAIN.missing(f"{where}.custom.name")
        if not _TOOL_NAME.fullmatch(str(tool["name"])):
            raise anthropic_error(
                400, f"{where}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
        schema = tool.get("input_schema")
        if schema is None:
            raise COMPLAIN.missing(f"{where}.custom.input_schema")
        check_value(schema, Field(OBJECT), COMPLAIN, f"{where}.custom.input_schema")
        if schema.get("type") != "object":
            raise anthropic_error(400, f"{where}.custom.input_schema.type: Input should be 'object'")
        if tool["name"] in {spec.name for spec in found}:
            raise anthropic_error(400, "tools: Tool names must be unique.")
        found.append(ToolSpec(tool["name"], tool.get("description") or "", schema))
        if tool.get("cache_control"):
            marks.append(str(tool["cache_control"].get("ttl", "5m")))
    return tuple(found), marks


def _choice(body: dict[str, Any], tools: tuple[ToolSpec, ...]) -> tuple[str, str | None, bool]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", None, True
    kind = choice.get("type")
    if kind is None:
        raise COMPLAIN.missing("tool_choice.type")
    check_value(kind, Field(TEXT, choices=("auto", "any", "tool", "none")), COMPLAIN, "tool_choice.type")
    if not tools:
        raise anthropic_error(400, "tool_choice: tool_choice may only be specified while providing tools")
    parallel = choice.get("disable_parallel_tool_use") is not True
    if kind == "tool":
        if choice.get("name") not in {tool.name for tool in tools}:
            raise anthropic_error(
                400, f"tool_choice: Tool '{choice.get('name')}' not found in provided tools"
            )
        return "named", choice["name"], parallel
    return {"any": "required"}.get(kind, kind), None, parallel


def _stops(body: dict[str, Any]) -> tuple[str, ...]:
    stops = tuple(body.get("stop_sequences") or ())
    if any(not isinstance(stop, str) or not stop.strip() for stop in stops):
        raise anthropic_error(400, "stop_sequences: each stop sequence must contain non-whitespace")
    return stops


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is None:
        return None
    check_value(
        wanted.get("type"), Field(TEXT, choices=("json_schema",)), COMPLAIN, "output_config.format.type"
    )
    schema = wanted.get("schema")
    if schema is None:
        raise COMPLAIN.missing("output_config.format.schema")
    _check_closed(schema)
    return dict(schema)


def _check_closed(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise anthropic_error(
            400,
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        )
    inner = [*(schema.get("properties") or {}).values(), *(schema.get("$defs") or {}).values()]
    for part in [*inner, schema.get("items"), *(schema.get("anyOf") or [])]:
        _check_closed(part)
