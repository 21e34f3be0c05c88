"""Parts that both of OpenAI's APIs share: user ids, schemas, cache marks, parameters passed through."""

import hashlib
from collections.abc import Iterator
from typing import Any

from routing.language.arms import ModelFacts
from routing.language.chat import (
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    ResponseFormat,
    Role,
    Served,
    Text,
    priced_tier,
)
from routing.providers.openai.schemas import why_not_strict
from routing.providers.shared.receipt import ReceiptWriter
from routing.providers.shared.schemas import EMPTY_OBJECT

MAX_IDENTIFIER = 64  # characters
CHAT_TTLS = ("30m",)  # of cache marks; Chat Completions answers 12h with a 400
RESPONSES_TTLS = ("30m", "12h")
Ttls = tuple[str, ...] | None  # the lifetimes an API takes; None: no marks are sent
# Parameters without a neutral form that an API documents
CHAT_PARAMETERS = frozenset(
    {"prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "moderation"}
)
RESPONSES_PARAMETERS = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
# Never taken from `extra`: what is built here, and parameters of one OpenAI API that mean more in the other
_SET_BY_US = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "input", "instructions", "max_output_tokens"}
    | {"include", "text", "background", "conversation", "previous_response_id", "prompt"}
)
# Parameters that are passed only to models with this quirk
_BY_QUIRK = {"prediction": "prediction", "prompt_cache_options": "prompt_cache_breakpoints"}


def identity(request: ChatRequest, receipt: ReceiptWriter) -> dict[str, Any]:
    """The fields about the caller; both APIs have the same names for them."""
    fields: dict[str, Any] = {}
    if (user := receipt.user()) is not None:
        fields["safety_identifier"] = safety_identifier(user)
        if fields["safety_identifier"] != user:
            parameter = "user" if request.safety_identifier is None else "safety_identifier"
            receipt.adapt(parameter, f"hashed: it is longer than {MAX_IDENTIFIER} characters")
    if request.metadata:
        fields["metadata"] = request.metadata
        receipt.keep("metadata")
    if request.service_tier is not None:
        fields["service_tier"] = request.service_tier
        receipt.keep("service_tier")
    return fields


def wire_format(wanted: ResponseFormat, receipt: ReceiptWriter) -> dict[str, Any]:
    """The `json_schema` object both OpenAI APIs share; not strict where that would refuse the schema."""
    schema = wanted.schema or EMPTY_OBJECT
    described: dict[str, Any] = {"name": wanted.name or "answer", "schema": schema}
    if wanted.description is not None:
        described["description"] = wanted.description
    if wanted.strict is not None:
        described["strict"] = is_strict("response_format", schema, wanted.strict, receipt)
    return described


def is_strict(parameter: str, schema: dict[str, Any], wanted: bool | None, receipt: ReceiptWriter) -> bool:
    """Return whether to send the schema as strict; strict mode refuses schemas that do not fit it."""
    why = why_not_strict(schema) if wanted else None
    if why is not None:
        receipt.adapt(parameter, f"not strict: {why}")
    return bool(wanted) and why is None


def mentions_json(messages: tuple[Message, ...]) -> bool:
    """Return whether a message has the word JSON, without which OpenAI refuses json_object."""
    return any("json" in message.text.lower() for message in messages)


def safety_identifier(user: str) -> str:
    """The caller's id of its user, hashed if it is too long for the field."""
    return (
        user if len(user) <= MAX_IDENTIFIER else hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    )


def passed_through(
    request: ChatRequest,
    model: ModelFacts,
    receipt: ReceiptWriter,
    documented: frozenset[str],
    *,
    unknown: bool,
    absent: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The parameters without a neutral form that this API takes.

    `documented`: those it is known to take. `unknown`: pass on also what nothing here knows. `absent`:
    parameters known not to exist there.
    """
    fields: dict[str, Any] = {}
    for name, value in request.extra.items():
        quirk = _BY_QUIRK.get(name) if name in documented else None
        refused = quirk is not None and not model.quirks.get(quirk)
        taken = name in documented or (unknown and name not in absent)
        if name in _SET_BY_US or refused or not taken:
            continue
        fields[name] = value
        receipt.keep(name)
    if "moderation" in fields:
        receipt.adapt("moderation", "what it finds is not handed on")
    return fields


def takes_marks(
    request: ChatRequest, model: ModelFacts, receipt: ReceiptWriter, ttls: tuple[str, ...]
) -> bool:
    """Return whether cache marks are sent. `ttls`: the lifetimes this API takes."""
    if not model.quirks.get("prompt_cache_breakpoints"):
        receipt.drop("cache_control", "this model caches long prompts automatically")
        return False
    receipt.keep("cache_control")
    if any(tool.cache for tool in request.tools):
        receipt.adapt("cache_control", "marks on tools are left out")
    if ttls is RESPONSES_TTLS and any(_marks_words(message) for message in request.messages):
        receipt.adapt("cache_control", "marks on the assistant's words are left out")
    for ttl in receipt.cache_ttls() - {None, *ttls}:
        receipt.adapt("cache_control", f"{ttl} became this model's own lifetime")
    return True


def _marks_words(message: Message) -> bool:
    return message.role is Role.ASSISTANT and any(
        isinstance(part, Text) and part.cache is not None for part in message.parts
    )


def only_text(parts: tuple[Part, ...], ttls: Ttls) -> str | None:
    """The content as plain text; None: it has to be a list of parts."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text) and not breakpoint_of(parts[0], ttls):
        return parts[0].text
    return None


def breakpoint_of(part: Part, ttls: Ttls) -> dict[str, Any]:
    """The field of a part that marks it as the end of a prefix to cache."""
    if ttls is None or not isinstance(part, Text | Image | File) or part.cache is None:
        return {}
    lifetime = {"ttl": part.cache.ttl} if part.cache.ttl in ttls else {}
    return {"prompt_cache_breakpoint": {"mode": "explicit", **lifetime}}


class ServedTier:
    """Follows the service tier that the provider says it serves; it may come with any chunk."""

    def __init__(self, requested: str | None) -> None:
        self._tier = priced_tier(requested)

    def read(self, reported: str | None) -> Iterator[Served]:
        if reported and reported != "auto" and (tier := priced_tier(reported)) != self._tier:
            self._tier = tier
            yield Served(tier)
