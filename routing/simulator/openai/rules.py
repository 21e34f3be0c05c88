"""OpenAI's reasons to refuse: keys, unknown models, malformed fields, the catalog's quirks of each model."""

import re
from collections.abc import Sequence
from typing import Any

from routing.simulator.model.models import RETIRED, Model, find
from routing.simulator.model.usage import input_tokens
from routing.simulator.shared.errors import ErrorReply, openai_error
from routing.simulator.shared.fields import OBJECT, TEXT, Field, check, check_value, listed
from routing.simulator.shared.prompt import BLOCK_PHRASE, Generation, ToolMode
from routing.simulator.shared.schema_check import problem_of
from routing.simulator.shared.wire import Request, encode

PROVIDER = "openai"
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SAMPLING = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
MODES: dict[str, ToolMode] = {"none": "none", "auto": "auto", "required": "required"}
NOT_AT_THE_ROOT = ("oneOf", "anyOf", "allOf", "enum", "not", "$ref")
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CUSTOM_TOOL = {
    "type": Field(TEXT),
    "name": Field(TEXT, required=True),
    "description": Field(TEXT),
    "format": Field(OBJECT),
}
_GRAMMAR = {
    "type": Field(TEXT),
    "syntax": Field(TEXT, choices=("lark", "regex"), required=True),
    "definition": Field(TEXT, required=True),
}

_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
}


class OpenAIFieldErrors:
    def missing(self, path: str) -> ErrorReply:
        if path == "model":
            return openai_error(400, "you must provide a model parameter")
        message = f"Missing required parameter: '{path}'."
        return openai_error(400, message, param=path, code="missing_required_parameter")

    def unknown(self, path: str) -> ErrorReply:
        return openai_error(400, f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")

    def wrong_type(self, path: str, kinds: tuple[type, ...], value: Any) -> ErrorReply:
        expected = " or ".join(
            _TYPE_NAMES.get(kind, "an object") for kind in kinds if kind is not int or float not in kinds
        )
        got = "null" if value is None else _TYPE_NAMES.get(type(value), "an object")
        message = f"Invalid type for '{path}': expected {expected or 'a decimal'}, but got {got} instead."
        return openai_error(400, message, param=path, code="invalid_type")

    def out_of_range(self, path: str, field: Field, value: Any) -> ErrorReply:
        if isinstance(value, list | str | dict):
            kind = "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
            if not value:
                message = (
                    f"Invalid '{path}': empty {kind}. Expected {_an(kind)} with "
                    f"minimum length {field.low:g}, but got an empty {kind} instead."
                )
                return openai_error(400, message, param=path, code=f"empty_{kind}")
            message = (
                f"Invalid '{path}': {kind} too long. Expected {_an(kind)} with "
                f"maximum length {field.high:g}, but got {_an(kind)} with length {len(value)} instead."
            )
            return openai_error(400, message, param=path, code=f"{kind}_above_max_length")
        kind = "integer" if isinstance(value, int) and float not in field.kinds else "decimal"
        if field.low is not None and value < field.low:
            message = (
                f"Invalid '{path}': {kind} below minimum value. Expected a value >= "
                f"{field.low:g}, but got {value} instead."
            )
            return openai_error(400, message, param=path, code=f"{kind}_below_min_value")
        message = (
            f"Invalid '{path}': {kind} above maximum value. Expected a value <= "
            f"{field.high:g}, but got {value} instead."
        )
        return openai_error(400, message, param=path, code=f"{kind}_above_max_value")

    def invalid_choice(self, path: str, value: str, choices: Sequence[str]) -> ErrorReply:
        message = f"Invalid value: '{value}'. Supported values are: {listed(choices)}."
        return openai_error(400, message, param=path, code="invalid_value")


FIELD_ERRORS = OpenAIFieldErrors()


def check_key(request: Request) -> None:
    """Any key is valid except those that begin with "bad"."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise openai_error(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank "
            "username) if you're accessing the API from your browser and are prompted for a username and "
            "password. You can obtain an API key from https://platform.openai.com/account/api-keys.",
        )
    if key.startswith("bad"):
        raise openai_error(
            401,
            f"Incorrect API key provided: {key[:3]}{'*' * 8}{key[-4:]}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def model_named(name: Any) -> Model:
    check_value(name, Field((str,)), FIELD_ERRORS, "model")
    model = find(PROVIDER, name)
    if model is not None:
        return model
    if name in RETIRED:
        message = (
            f"The model `{name}` has been deprecated, learn more here: "
            "https://platform.openai.com/docs/deprecations"
        )
        raise openai_error(404, message, code="model_not_found")
    message = f"The model `{name}` does not exist or you do not have access to it."
    raise openai_error(404, message, code="model_not_found")


def effort_of(model: Model, effort: str | None, path: str, *, chat: bool) -> str | None:
    """The effort in force; None for models that don't reason. Raises for levels the model doesn't take."""
    allowed = model.quirks.get("reasoning_efforts")
    if effort is not None:
        check_value(effort, Field((str,), choices=EFFORTS), FIELD_ERRORS, path)
    if allowed is None:
        if effort is None:
            return None
        if chat:
            raise openai_error(400, f"Unrecognized request argument supplied: {path}")
        raise unsupported(path)
    if chat:  # every model refuses max on Chat Completions
        allowed = [level for level in allowed if level != "max"]
    if effort is not None and effort not in allowed:
        message = (
            f"Unsupported value: '{path}' does not support '{effort}' with this "
            f"model. Supported values are: {listed(allowed)}."
        )
        raise openai_error(400, message, param=path, code="unsupported_value")
    return effort or str(model.quirks["reasoning_default"])


def check_sampling(model: Model, body: dict[str, Any], effort: str | None) -> None:
    rule = str(model.quirks.get("sampling_params", "accepted"))
    if rule == "accepted" or (rule.startswith("only when") and effort == "none"):
        return
    names = (*SAMPLING, "stop") if model.id.startswith("gpt-") else SAMPLING
    for name in names:
        value = body.get(name)
        if value is None or value is False:
            continue
        if name == "temperature":
            message = (
                f"Unsupported value: 'temperature' does not support {value} with this "
                "model. Only the default (1) value is supported."
            )
            raise openai_error(400, message, param=name, code="unsupported_value")
        raise unsupported(name)


def unsupported(name: str, instead: str | None = None) -> ErrorReply:
    hint = f" Use '{instead}' instead." if instead else ""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return openai_error(400, message, param=name, code="unsupported_parameter")


def check_output_limit(model: Model, name: str, wanted: int | None) -> None:
    if wanted is not None and wanted > model.max_output_tokens:
        message = (
            f"{name} is too large: {wanted}. This model supports at most {model.max_output_tokens} "
            f"completion tokens, whereas you provided {wanted}."
        )
        raise openai_error(400, message, param=name, code="invalid_value")


def check_prompt(generation: Generation, *, chat: bool) -> None:
    """Context overflow and the provider's own filter on prompts."""
    size = input_tokens(generation)
    room = min(generation.model.context_window, generation.model.max_input_tokens)
    if size > room:
        if chat:
            message = (
                f"This model's maximum context length is {room} tokens. However, your messages resulted in "
                f"{size} tokens. Please reduce the length of the messages."
            )
        else:
            message = (
                "Your input exceeds the context window of this model. Please adjust your input and try again."
            )
        raise openai_error(
            400, message, param="messages" if chat else "input", code="context_length_exceeded"
        )
    if any(BLOCK_PHRASE in turn.text.lower() for turn in generation.turns if turn.role == "user"):
        message = (
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try "
            "again with a different prompt: "
            "https://platform.openai.com/docs/guides/reasoning#advice-on-prompting"
        )
        raise openai_error(400, message, code="content_policy_violation")


def check_tool_name(name: Any, path: str) -> str:
    if name is None:
        raise FIELD_ERRORS.missing(path)
    check_value(name, Field((str,)), FIELD_ERRORS, path)
    if not TOOL_NAME.fullmatch(name):
        message = (
            f"Invalid '{path}': string does not match pattern. Expected a string that "
            "matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise openai_error(400, message, param=path, code="invalid_value")
    return str(name)


def check_caching(model: Model, body: dict[str, Any]) -> None:
    """Explicit prompt caching came with GPT-5.6."""
    if model.quirks.get("prompt_cache_breakpoints"):
        return
    if body.get("prompt_cache_options") is not None:
        raise unsupported("prompt_cache_options")
    if b'"prompt_cache_breakpoint"' in encode(body.get("messages") or body.get("input")):
        raise unsupported("prompt_cache_breakpoint")


def tool_kinds(model: Model) -> tuple[str, ...]:
    """Custom tools came with GPT-5."""
    return ("function", "custom") if model.quirks.get("custom_tools") else ("function",)


def check_grammar(form: dict[str, Any] | None, grammar: Any, path: str) -> None:
    """The input format of a custom tool; `grammar`: where this endpoint has the grammar in it."""
    if form is None:
        return
    check_value(form.get("type"), Field(TEXT, choices=("text", "grammar")), FIELD_ERRORS, f"{path}.type")
    if form["type"] == "grammar":
        check_value(grammar, Field(OBJECT), FIELD_ERRORS, f"{path}.grammar")
        check(grammar, _GRAMMAR, FIELD_ERRORS, f"{path}.")


def check_tool_schema(schema: Any, name: str, param: str, *, strict: bool) -> None:
    """The schema of a function's arguments: an object, without a choice at its root."""
    what = f"function '{name}'"
    check_schema(schema, what, param, strict=strict)
    if not schema:
        return
    if schema.get("type") != "object" or any(word in schema for word in NOT_AT_THE_ROOT):
        message = (
            f"Invalid schema for {what}: schema must have type 'object' and not have "
            "'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
        )
        raise openai_error(400, message, param=param, code="invalid_function_parameters")
    if "properties" not in schema:
        message = f"Invalid schema for {what}: In context=(), object schema missing properties."
        raise openai_error(400, message, param=param, code="invalid_function_parameters")


def check_schema(schema: Any, what: str, param: str, *, strict: bool) -> None:
    """A schema must be valid; a strict schema must also follow the rules of structured output."""
    problem = problem_of(schema)
    if problem is not None:
        message = f"Invalid schema for {what}: {problem}"
        raise openai_error(400, message, param=param, code="invalid_json_schema")
    if strict:
        check_strict_schema(schema, what, param)


def check_strict_schema(schema: Any, what: str, param: str, context: tuple[str, ...] = ()) -> None:
    """Structured output's rules: every object closed, every property required."""
    if not isinstance(schema, dict):
        return
    shown = "(" + ", ".join(f"'{step}'" for step in context) + ("," if len(context) == 1 else "") + ")"
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        missing = [name for name in properties if name not in (schema.get("required") or [])]
        problem = None
        if schema.get("additionalProperties") is not False:
            problem = "'additionalProperties' is required to be supplied and to be false."
        elif missing:
            problem = (
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'."
            )
        if problem:
            message = f"Invalid schema for {what}: In context={shown}, {problem}"
            raise openai_error(400, message, param=param, code="invalid_json_schema")
        for name, inner in properties.items():
            check_strict_schema(inner, what, param, (*context, "properties", name))
    check_strict_schema(schema.get("items"), what, param, (*context, "items"))
    for number, branch in enumerate(schema.get("anyOf") or []):
        check_strict_schema(branch, what, param, (*context, "anyOf", str(number)))
    for name, inner in (schema.get("$defs") or {}).items():
        check_strict_schema(inner, what, param, (*context, "$defs", name))


def response_headers(request_id: str, model: Model, limit_tokens: int = 30_000_000) -> list[tuple[str, str]]:
    milliseconds = 180 + 90 * model.tier
    return [
        ("x-request-id", request_id),
        ("openai-organization", "org-simulated"),
        ("openai-processing-ms", str(milliseconds)),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-limit-tokens", str(limit_tokens)),
        ("x-ratelimit-remaining-tokens", str(limit_tokens - 1000)),
        ("x-ratelimit-reset-tokens", "2ms"),
    ]


def _an(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def tier_used(requested: Any) -> str:
    """The real API reports the tier fast as priority."""
    return {"flex": "flex", "priority": "priority", "fast": "priority", "scale": "scale"}.get(
        str(requested), "default"
    )
