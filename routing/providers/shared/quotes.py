"""Takes the caller's text out of a provider's error message, which is stored and logged, as no prompt is.

Left out is what the message quotes, and every longer run of the request's words. Words that any message may
have in common with a prompt stay, so that the error can be understood.
"""

import re
from collections.abc import Iterator

from routing.language.chat import ChatRequest, Refusal, Text

OMITTED = "[your text]"
RUN_WORDS = 5  # in a row that count as the caller's
QUOTED_CHARACTERS = 8  # the least of a quotation with a space, or in a script without spaces
LONG_CHARACTERS = 24  # the least of a single word
_QUOTED = re.compile(r"'([^']{8,})'|\"([^\"]{8,})\"|`([^`]{8,})`|“([^”]{8,})”")
_TOKEN = re.compile(r"\S+")
_EDGES = "\"'“”‘’`.,:;!?()[]{}<>…"
_ESCAPES = re.compile(r"\\[nrt]|\\u000[9aAdD]")
_MOST_CHARACTERS = 2_000_000  # of the request, from its end: errors quote the latest


def without_quotes(message: str, request: ChatRequest) -> str:
    """The message with the request's own text left out."""
    text = _normal(" ".join(_texts(request)))[-_MOST_CHARACTERS:]
    if not text:
        return message

    def unquoted(match: re.Match[str]) -> str:
        inner = _normal(next(filter(None, match.groups())))
        telling = " " in inner or not inner.isascii() or len(inner) >= LONG_CHARACTERS
        return OMITTED if telling and inner.strip(_EDGES) in text else match[0]

    return _without_runs(_QUOTED.sub(unquoted, message), text)


def _without_runs(message: str, text: str) -> str:
    tokens = [match[0] for match in _TOKEN.finditer(_ESCAPES.sub(" ", message))]
    omitted = [False] * len(tokens)
    for begin, token in enumerate(tokens):
        if len(token) >= LONG_CHARACTERS and _is_in(token, text):
            omitted[begin] = True
        run = tokens[begin : begin + RUN_WORDS]
        if len(run) == RUN_WORDS and _is_in(" ".join(run), text):
            omitted[begin : begin + RUN_WORDS] = [True] * RUN_WORDS
    if not any(omitted):
        return message
    words: list[str] = []
    for token, is_omitted in zip(tokens, omitted, strict=True):
        if not is_omitted:
            words.append(token)
        elif not words or words[-1] != OMITTED:
            words.append(OMITTED)
    return " ".join(words)


def _is_in(words: str, text: str) -> bool:
    bare = _normal(words).strip(_EDGES)
    return bool(bare) and bare in text


def _texts(request: ChatRequest) -> Iterator[str]:
    """The texts of a request that a provider may quote, those of the messages last."""
    yield from (tool.description or "" for tool in request.tools)
    for message in request.messages:
        yield from (part.text for part in message.parts if isinstance(part, Text | Refusal))
        yield from (call.arguments for call in message.tool_calls)


def _normal(text: str) -> str:
    return " ".join(_ESCAPES.sub(" ", text).split()).lower()
