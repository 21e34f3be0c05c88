"""Holds built requests to the official SDKs' own types: unknown keys fail, lazy iterables are walked."""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import Any

import anthropic.types
import msgspec
import openai.types
from google.genai import types as genai
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import is_typeddict  # typing's does not know the SDKs' TypedDicts

_FORBID = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@cache
def _forbid_unknown_keys() -> None:
    for package in (openai.types, anthropic.types):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            for value in vars(importlib.import_module(module.name)).values():
                if is_typeddict(value):
                    value.__pydantic_config__ = _FORBID


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    _forbid_unknown_keys()
    match kind:
        case "openai_chat":
            from openai.types.chat import completion_create_params as chat

            return TypeAdapter(chat.CompletionCreateParams)
        case "openai_responses":
            from openai.types.responses import response_create_params as responses

            return TypeAdapter(responses.ResponseCreateParams)
        case _:
            from anthropic.types import message_create_params as messages

            return TypeAdapter(messages.MessageCreateParams)


def _walk(value: Any) -> None:
    if isinstance(value, dict):
        for each in value.values():
            _walk(each)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            _walk(each)


def accepted(kind: str, body: bytes) -> dict[str, Any]:
    """The decoded body, when the SDK's type accepts every bit of it; else its ValidationError."""
    document: dict[str, Any] = msgspec.json.decode(body)
    if kind == "gemini":
        _gemini(document)
    else:
        _walk(_adapter(kind).validate_python(document, strict=False))
    return document


def _gemini(body: dict[str, Any]) -> None:
    readers = {
        "contents": lambda contents: [genai.Content.model_validate(each) for each in contents],
        "systemInstruction": genai.Content.model_validate,
        "tools": lambda tools: [genai.Tool.model_validate(each) for each in tools],
        "toolConfig": genai.ToolConfig.model_validate,
        "generationConfig": genai.GenerationConfig.model_validate,
        "serviceTier": genai.ServiceTier,
    }
    for name, value in body.items():
        readers[name](value)
