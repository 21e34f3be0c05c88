"""Pictures and files as callers give them: data URLs taken apart, http URLs described."""

import base64
import mimetypes
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from routing.language.chat import File, Image
from routing.providers.shared.failures import FailureKind, UpstreamFailure

Kinds = tuple[type[Image] | type[File], ...]


class Inline(NamedTuple):
    media_type: str
    data: str  # base64


def inline(url: str, default_type: str) -> Inline | None:
    """The content of a data: URL; None for an http(s) URL. Raises UpstreamFailure (bad_request) if broken."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise UpstreamFailure(FailureKind.BAD_REQUEST, "a data: URL has no comma before its content")
    media_type, *parameters = head.split(";")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Inline(media_type.strip().lower() or default_type, data)


def guessed_type(url: str, default_type: str) -> str:
    """The media type an http URL's path suggests."""
    return mimetypes.guess_type(urlsplit(url).path)[0] or default_type
