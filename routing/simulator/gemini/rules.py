"""Gemini's reasons to refuse: keys, unknown models, unknown names in the JSON, the catalog's quirks."""

import re
from collections.abc import Sequence
from typing import Any

from routing.simulator.model.models import Model, find
from routing.simulator.model.usage import input_tokens
from routing.simulator.shared.errors import ErrorReply, google_error
from routing.simulator.shared.fields import Field
from routing.simulator.shared.prompt import Generation
from routing.simulator.shared.wire import Request

PROVIDER = "google"
SAMPLING = ("temperature", "topP", "topK", "presencePenalty", "frequencyPenalty")
_TYPES = {str: "TYPE_STRING", int: "TYPE_INT32", float: "TYPE_FLOAT", bool: "TYPE_BOOL"}
_MOST_BUDGET = 32_768
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class GeminiFieldErrors:
    """Gemini's validation messages have protobuf paths in snake case."""

    def missing(self, path: str) -> ErrorReply:
        name = _snake(path)
        return google_error(400, f"* GenerateContentRequest.{name}: {name} is not specified\n")

    def unknown(self, path: str) -> ErrorReply:
        parent, _, name = path.rpartition(".")
        at = f" at '{_snake(parent)}'" if parent else ""
        message = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
        return google_error(400, message, details=[_violation(_snake(parent), message)])

    def wrong_type(self, path: str, kinds: tuple[type, ...], value: Any) -> ErrorReply:
        kind = _TYPES[float] if float in kinds else _TYPES.get(kinds[0])
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        if kind is None:
            message = f"Invalid value at '{_snake(path)}' (oneof), {shown}"
        else:
            message = f"Invalid value at '{_snake(path)}' ({kind}), {shown}"
        return google_error(400, message, details=[_violation(_snake(path), message)])

    def out_of_range(self, path: str, field: Field, value: Any) -> ErrorReply:
        name = path.rpartition(".")[2]
        if isinstance(value, list | str | dict):
            if not value:
                return self.missing(path)
            return google_error(
                400,
                f"Unable to submit request because {name} has {len(value)} entries but at most "
                f"{field.high:g} are supported.",
            )
        return google_error(
            400,
            f"Unable to submit request because it has a {name} value of {value} but the supported range is "
            f"from {field.low:g} (inclusive) to {field.high or 0:g} (inclusive). Update the value and try "
            "again.",
        )

    def invalid_choice(self, path: str, value: str, choices: Sequence[str]) -> ErrorReply:
        message = f"Invalid value at '{_snake(path)}' (TYPE_ENUM), \"{value}\""
        return google_error(400, message, details=[_violation(_snake(path), message)])


FIELD_ERRORS = GeminiFieldErrors()


def check_key(request: Request) -> None:
    key = request.headers.get("x-goog-api-key") or request.query.get("key") or ""
    bearer = request.headers.get("authorization", "").partition(" ")[2]
    if not (key or bearer):
        raise google_error(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use "
            "API Key or other form of API consumer identity to call this API.",
        )
    if (key or bearer).startswith("bad"):
        info = {
            "@type": _ERROR_INFO,
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        raise google_error(400, "API key not valid. Please pass a valid API key.", details=[info])


def model_named(name: str, version: str, method: str) -> Model:
    """`-latest` aliases exist only on v1beta."""
    model = find(PROVIDER, name.removeprefix("models/"))
    if model is None or (version == "v1" and name.endswith("-latest")):
        raise google_error(
            404,
            f"models/{name} is not found for API version {version}, or is not supported for {method}. Call "
            "ListModels to see the list of available models and their supported methods.",
        )
    return model


def effort_of(model: Model, config: dict[str, Any]) -> str | None:
    """The effort the model thinks at, from thinkingLevel or thinkingBudget, whichever this model knows."""
    thinking = config.get("thinkingConfig") or {}
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level is not None and budget is not None:
        raise google_error(400, "You can only set only one of thinking budget and thinking level.")
    kind = str(model.quirks.get("thinking", ""))
    if kind == "thinkingLevel":
        if budget is not None:
            raise google_error(
                400, "Thinking budget is not supported for this model. Please use thinking level instead."
            )
        return _effort_of_level(model, level)
    if level is not None:
        raise google_error(400, "Thinking level is not supported for this model.")
    return _effort_of_budget(model, budget, kind)


def check_sampling(model: Model, config: dict[str, Any]) -> None:
    if not str(model.quirks.get("sampling_params", "")).startswith("unsupported"):
        return
    for name in SAMPLING:
        if config.get(name) is not None:
            raise google_error(400, f"{_snake(name)} is not supported for this model.")


def check_prompt(generation: Generation) -> None:
    size = input_tokens(generation)
    if size > generation.model.max_input_tokens:
        raise google_error(
            400,
            f"The input token count ({size}) exceeds the maximum number of tokens allowed "
            f"({generation.model.max_input_tokens}).",
        )


def _effort_of_level(model: Model, level: Any) -> str:
    known = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
    if level is None or level == "THINKING_LEVEL_UNSPECIFIED":
        return "medium"
    if str(level).upper() not in known:
        raise FIELD_ERRORS.invalid_choice("generationConfig.thinkingConfig.thinkingLevel", str(level), known)
    if str(level).upper() not in model.quirks.get("thinking_levels", known):
        raise google_error(
            400,
            f"Thinking level {str(level).upper()} is not supported for this model. Please retry "
            "with other thinking level.",
        )
    return str(level).lower()


def _effort_of_budget(model: Model, budget: Any, rule: str) -> str:
    """`rule` is the catalog's text: "… 2.5-pro min 128, cannot be 0"."""
    if budget is None or budget == -1:
        return "medium"
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise FIELD_ERRORS.wrong_type("generationConfig.thinkingConfig.thinkingBudget", (int,), budget)
    floor = re.search(r"([\w.]+-\w+) min (\d+)", rule)
    least = int(floor[2]) if floor and model.id.endswith(floor[1]) else 0
    if budget == 0 and least:
        raise google_error(400, "Budget 0 is invalid. This model only works in thinking mode.")
    if not least <= budget <= _MOST_BUDGET:
        raise google_error(
            400,
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and "
            f"{_MOST_BUDGET}.",
        )
    return "none" if budget == 0 else "low" if budget <= 1024 else "medium" if budget <= 8192 else "high"


def _violation(field: str, description: str) -> dict[str, Any]:
    return {"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": description}]}


def _snake(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), path)
