"""Reads the contents of a generateContent request into turns, with the real rules on function turns."""

import base64
from typing import Any

from routing.simulator.gemini.rules import FIELD_ERRORS
from routing.simulator.model.models import Model
from routing.simulator.model.usage import AUDIO_TOKENS, DOCUMENT_TOKENS, image_tokens
from routing.simulator.shared.errors import google_error
from routing.simulator.shared.fields import LIST, OBJECT, TEXT, Field, check, check_value
from routing.simulator.shared.prompt import Speaker, Turn
from routing.simulator.shared.wire import encode

SIGNATURE_MARK = b"sim:"


_SKIP_VALIDATOR = b"skip_thought_signature_validator"


_CONTENT = {"role": Field(TEXT), "parts": Field(LIST)}


_PART_KINDS = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)


_PART = {
    name: Field()
    for name in (*_PART_KINDS, "thought", "thoughtSignature", "videoMetadata", "mediaResolution")
}


def read_system(instruction: dict[str, Any] | None) -> tuple[Turn, ...]:
    if not instruction:
        return ()
    check(instruction, _CONTENT, FIELD_ERRORS, "systemInstruction.")
    text = "\n".join(str(part.get("text", "")) for part in instruction.get("parts") or [])
    return (Turn("system", text),) if text else ()


def read_turns(contents: list[Any], model: Model) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    open_calls = 0
    for number, content in enumerate(contents):
        where = f"contents[{number}]"
        check_value(content, Field(OBJECT), FIELD_ERRORS, where)
        check(content, _CONTENT, FIELD_ERRORS, f"{where}.")
        role = content.get("role") or "user"
        if role not in {"user", "model", "function"}:
            raise google_error(400, "Please use a valid role: user, model.")
        parts = content.get("parts") or []
        if not parts:
            raise google_error(
                400, f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.\n"
            )
        turn, calls, results = _turn(parts, role, where, model)
        _check_order(turns, calls, results, open_calls)
        open_calls = calls
        turns.append(turn)
    if open_calls:
        raise google_error(
            400,
            "Please ensure that the number of function response parts is equal to the number of function "
            "call parts of the function call turn.",
        )
    return tuple(turns)


def _check_order(before: list[Turn], calls: int, results: int, open_calls: int) -> None:
    if results and not open_calls:
        raise google_error(
            400, "Please ensure that function response turn comes immediately after a function call turn."
        )
    if results != open_calls:
        raise google_error(
            400,
            "Please ensure that the number of function response parts is equal to the number of function "
            "call parts of the function call turn.",
        )
    if calls and (not before or before[-1].role not in {"user", "tool"}):
        raise google_error(
            400,
            "Please ensure that function call turn comes immediately after a user turn or after a "
            "function response turn.",
        )


def _turn(parts: list[Any], role: str, where: str, model: Model) -> tuple[Turn, int, int]:
    texts: list[str] = []
    results: list[str] = []
    calls: list[str] = []
    media = 0
    for number, part in enumerate(parts):
        path = f"{where}.parts[{number}]"
        check_value(part, Field(OBJECT), FIELD_ERRORS, path)
        check(part, _PART, FIELD_ERRORS, f"{path}.")
        kinds = [kind for kind in _PART_KINDS if part.get(kind) is not None]
        if not kinds:
            raise google_error(
                400,
                f"* GenerateContentRequest.{where}.parts[{number}].data: required oneof field "
                "'data' must have one initialized field\n",
            )
        if "functionCall" in part:
            _check_signature(part, model, first=not calls, position=number)
            calls.append(encode(part["functionCall"]).decode())
        elif "functionResponse" in part:
            results.append(_result(part["functionResponse"], path))
        elif "inlineData" in part or "fileData" in part:
            media += _media(part.get("inlineData") or part["fileData"])
        elif not part.get("thought"):
            texts.append(str(part.get("text", "")))
    neutral: Speaker = "assistant" if role == "model" else "tool" if results else "user"
    turn = Turn(neutral, "\n".join(texts), tuple(results), tuple(calls), media)
    return turn, len(calls), len(results)


def _check_signature(part: dict[str, Any], model: Model, *, first: bool, position: int) -> None:
    """The first call of a model turn must carry its signature; later calls need none."""
    signature = part.get("thoughtSignature")
    if signature is None:
        if first and model.quirks.get("needs_thought_signature_on_replay"):
            name = part["functionCall"].get("name")
            raise google_error(
                400,
                "Function call is missing a thought_signature in functionCall parts. This is required for "
                "tools to work correctly, and missing thought_signature may lead to degraded model "
                f"performance. Additional data, function call `default_api:{name}` , position "
                f"{position + 1}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures "
                "for more details.",
            )
        return
    try:
        raw = base64.b64decode(
            str(signature) + "==", altchars=b"-_" if set("-_") & set(str(signature)) else None
        )
    except ValueError:
        raw = b""
    if not (raw.startswith(SIGNATURE_MARK) or raw == _SKIP_VALIDATOR):
        raise google_error(400, "Corrupted thought signature.")


def _result(response: dict[str, Any], path: str) -> str:
    if not response.get("name"):
        raise google_error(
            400, f"* GenerateContentRequest.{path}.function_response.name: Name cannot be empty.\n"
        )
    value = response.get("response")
    check_value(
        value if value is not None else {}, Field(OBJECT), FIELD_ERRORS, f"{path}.functionResponse.response"
    )
    output = (value or {}).get("output", (value or {}).get("result", value))
    return output if isinstance(output, str) else encode(output).decode()


def _media(data: dict[str, Any]) -> int:
    kind = str(data.get("mimeType", ""))
    if not kind:
        raise google_error(400, "Unable to submit request because it must have a mimeType value.")
    if kind.startswith("image/"):
        return image_tokens("google", None)
    return AUDIO_TOKENS if kind.startswith(("audio/", "video/")) else DOCUMENT_TOKENS
