"""Paths that clients reach with a wrong base URL, and the sentence that says which one is right."""

import re
from typing import NamedTuple

from django.conf import settings


class Wrong(NamedTuple):
    """`door_path`: a path of the API whose client this is, for the form of the error."""

    advice: str
    door_path: str


_OPENAI, _MESSAGES = "/v1", "/v1/messages"
_ENDPOINT = r"(?:chat/completions|completions|responses|messages|embeddings|models)"
_ROOT = re.compile(r"/+(?:chat/completions|completions|responses|embeddings)/?")
_TWICE = re.compile(rf"/(?:api/)?v1/+(?:{_ENDPOINT}/+)?v1(?:/.*)?|/(?:api/)?v1/+{_ENDPOINT}/+{_ENDPOINT}.*")
_AZURE = re.compile(r"/openai/.*")
_GEMINI = re.compile(r"/v1(?:beta|alpha)\d*(?:/.*)?|/v1/models/[^/]+:\w+")
_ABSENT = re.compile(
    r"/v1/(completions|embeddings|moderations|images|audio|files|batches|assistants)(?:/.*)?"
)

# Patterns, without the leading slash, of those paths that are outside the API's own
URL_PATTERNS = (
    r"^(?:/*)(?:chat/completions|completions|responses|messages|embeddings)/?$",
    r"^openai/",
    r"^v1(?:beta|alpha)\d*(?:/|$)",
    r"^/+(?:api|v1)/",
)


def wrong_path(path: str) -> Wrong | None:
    """Advice about a path that nothing answers; None: the path is of no known kind."""
    base = f"{settings.PUBLIC_URL}/v1"
    if path.startswith("//"):
        return Wrong(
            f"The path begins with two slashes. Set the base URL to {base}, without a slash.", _OPENAI
        )
    if path.strip("/") == "messages" or (_TWICE.fullmatch(path) and "messages" in path):
        return Wrong(
            f"Anthropic's clients add /v1/messages themselves. Set the base URL to {settings.PUBLIC_URL}.",
            _MESSAGES,
        )
    if _ROOT.fullmatch(path):
        return Wrong(f"The base URL lacks /v1. Set it to {base}.", _OPENAI)
    if _TWICE.fullmatch(path):
        return Wrong(f"The base URL holds a part of the path already. Set it to {base}.", _OPENAI)
    if _AZURE.fullmatch(path):
        return Wrong(
            f"This is a path of Azure's API. Use a client of OpenAI's API with the base URL {base}, and name "
            "the model in the body.",
            _OPENAI,
        )
    if _GEMINI.fullmatch(path):
        return Wrong(
            "This is a path of Google's API, which RoutePlex does not have. Use a client of OpenAI's API "
            f"with the base URL {base}; Gemini models answer there.",
            _OPENAI,
        )
    if absent := _ABSENT.fullmatch(path):
        return Wrong(f"RoutePlex has no {absent[1]}. It answers chats: see {base}/chat/completions.", _OPENAI)
    return None
