"""Maps paths to providers and their endpoints."""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from routing.simulator.anthropic import endpoint as anthropic
from routing.simulator.gemini import endpoint as gemini
from routing.simulator.openai import chat_endpoint as openai_chat
from routing.simulator.openai import responses_endpoint as openai_responses
from routing.simulator.server import model_lists as listing
from routing.simulator.shared.errors import ErrorReply, anthropic_error, google_error, openai_error
from routing.simulator.shared.reply import Exchange, Reply
from routing.simulator.shared.wire import Headers, Request

Provider = Literal["openai", "anthropic", "google"]

PREFIXES: dict[str, Provider] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "gemini": "google",
}


class Target(msgspec.Struct, frozen=True):
    """The endpoint of a path. `path` is without the provider prefix; `model` only where the path names it."""

    provider: Provider
    dialect: str
    path: str
    model: str = ""
    streamed: bool = False


class Dialect(msgspec.Struct, frozen=True):
    """`generate` answers with a Reply, which is paced, faulted and recorded; `plain` with a JSON body."""

    generate: Callable[[Exchange], Reply] | None = None
    plain: Callable[[Exchange], bytes] | None = None
    method: str = "POST"


DIALECTS: dict[str, Dialect] = {
    "openai_chat": Dialect(generate=openai_chat.answer),
    "openai_responses": Dialect(generate=openai_responses.answer),
    "openai_models": Dialect(plain=listing.openai_models, method="GET"),
    "anthropic": Dialect(generate=anthropic.answer),
    "anthropic_count": Dialect(plain=anthropic.count_tokens),
    "anthropic_models": Dialect(plain=listing.anthropic_models, method="GET"),
    "gemini": Dialect(generate=gemini.answer),
    "gemini_count": Dialect(plain=gemini.count_tokens),
    "gemini_models": Dialect(plain=listing.gemini_models, method="GET"),
}

_FIXED: dict[str, tuple[Provider, str]] = {
    "/v1/chat/completions": ("openai", "openai_chat"),
    "/v1/responses": ("openai", "openai_responses"),
    "/v1/messages": ("anthropic", "anthropic"),
    "/v1/messages/count_tokens": ("anthropic", "anthropic_count"),
}
_GEMINI_CALL = re.compile(
    r"/(?:v1|v1beta)/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)"
)
_MODELS = re.compile(r"/(v1|v1beta)/models(?:/([^/:]+))?")
_GEMINI_DIALECTS = {
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "countTokens": "gemini_count",
}


def target_of(request: Request) -> Target | None:
    """The target of a request; None when no provider has such a path."""
    first, _, rest = request.path.lstrip("/").partition("/")
    prefix = PREFIXES.get(first)
    path = "/" + rest if prefix else request.path
    target = _target(path, prefix, request.headers)
    return target if target is not None and prefix in {None, target.provider} else None


def _target(path: str, prefix: str | None, headers: dict[str, str]) -> Target | None:
    if path in _FIXED:
        provider, dialect = _FIXED[path]
        return Target(provider, dialect, path)
    called = _GEMINI_CALL.fullmatch(path)
    if called:
        return Target("google", _GEMINI_DIALECTS[called[2]], path, called[1], called[2].startswith("stream"))
    listed = _MODELS.fullmatch(path)
    if listed is None:
        return None
    name = listed[2] or ""
    if prefix == "google" or listed[1] == "v1beta" or "x-goog-api-key" in headers:
        return Target("google", "gemini_models", path, name)
    if prefix == "anthropic" or (prefix is None and "anthropic-version" in headers):
        return Target("anthropic", "anthropic_models", path, name)
    return Target("openai", "openai_models", path, name)


def wrong_method(target: Target, method: str) -> ErrorReply:
    if target.provider == "openai":
        return openai_error(
            405,
            f"Not allowed to {method} on {target.path}. (HINT: Perhaps you meant to make a POST request?)",
        )
    if target.provider == "anthropic":
        return anthropic_error(405, "Method Not Allowed", kind="invalid_request_error")
    return google_error(404, "Requested entity was not found.")


def invalid_json(target: Target) -> ErrorReply:
    if target.provider == "openai":
        return openai_error(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
            "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
            "valid JSON.)",
        )
    if target.provider == "anthropic":
        return anthropic_error(400, "The request body is not valid JSON: expected value at line 1 column 1")
    return google_error(400, "Invalid JSON payload received. Unexpected token.")


def error_headers(target: Target, request_id: str) -> Headers:
    if target.provider == "openai":
        return [("x-request-id", request_id)]
    return [("request-id", request_id)] if target.provider == "anthropic" else []


def error_body(target: Target, error_reply: ErrorReply, request_id: str) -> dict[str, Any]:
    if target.provider == "anthropic" and "request_id" in error_reply.body:
        return {**error_reply.body, "request_id": request_id}
    return error_reply.body


def request_id_for(target: Target, exchange_ids: Any) -> str:
    if target.provider == "anthropic":
        return str(exchange_ids.new("req_01", 22))
    return str(exchange_ids.hex("req_"))
