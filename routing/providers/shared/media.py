"""Pictures and files as callers give them: data URLs taken apart, http URLs described."""

import base64
import mimetypes
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from routing.language.chat import ChatRequest, File, Image, Part
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


# First bytes of the kinds of images that providers take; those of WebP enclose its size
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_HEAD = 24  # characters of base64 that hold the first 18 bytes


def image_type(data: str) -> str | None:
    """The media type of an image by its first bytes. `data`: base64; None: none that is known."""
    try:
        head = base64.b64decode(data[:_HEAD])
    except ValueError:
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)


def with_true_types(request: ChatRequest) -> tuple[ChatRequest, tuple[str, ...]]:
    """The request with each image declared as what its bytes are, and the changes for the receipt.

    OpenAI takes images of another type than declared, other providers refuse them.
    """
    changes: dict[str, None] = {}

    def declared(part: Part) -> Part:
        if not isinstance(part, Image) or part.url[:5].lower() != "data:":
            return part
        head, comma, data = part.url[5:].partition(",")
        media_type = head.partition(";")[0].strip().lower()
        actual = image_type(data) if comma and head.lower().endswith(";base64") else None
        if actual is None or actual == media_type:
            return part
        changes[f"{media_type or 'an image'} is sent as {actual}, which it is"] = None
        return msgspec.structs.replace(part, url=f"data:{actual};base64,{data}")

    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(map(declared, message.parts)))
        if any(isinstance(part, Image) for part in message.parts)
        else message
        for message in request.messages
    )
    return (msgspec.structs.replace(request, messages=messages), tuple(changes)) if changes else (request, ())
