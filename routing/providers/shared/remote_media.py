"""Images and documents with an http URL, for APIs that take only content: fetched and sent inline.

Callers choose the URLs, so `core.outbound` fetches them: it refuses private addresses.
"""

import asyncio
import base64

import msgspec

from core.outbound import OutboundError, fetch
from routing.language.chat import ChatRequest, File, Image, Message, Part
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.media import Kinds, guessed_type

MOST_BYTES = 15_000_000  # each; 20 MB in base64, the limit of a whole request to Gemini
MOST_URLS = 16
WITHIN_S = 10.0


def remote_kinds(request: ChatRequest, kinds: Kinds) -> tuple[str, ...]:
    """The kinds of media that are fetched for the request, by their names in the receipt."""
    parts = [part for message in request.messages for part in message.parts if is_remote(part, kinds)]
    named = {
        "images": any(isinstance(part, Image) for part in parts),
        "files": any(isinstance(part, File) for part in parts),
    }
    return tuple(name for name, is_fetched in named.items() if is_fetched)


def is_remote(part: Part, kinds: Kinds) -> bool:
    return isinstance(part, kinds) and isinstance(part, Image | File) and part.url[:5].lower() != "data:"


async def inlined(request: ChatRequest, kinds: Kinds) -> ChatRequest:
    """The request with the content of its http URLs. Raises UpstreamFailure (bad_request)."""
    urls = {
        part.url: part
        for message in request.messages
        for part in message.parts
        if isinstance(part, Image | File) and is_remote(part, kinds)
    }
    if not urls:
        return request
    if len(urls) > MOST_URLS:
        raise UpstreamFailure(
            FailureKind.BAD_REQUEST, f"this model takes at most {MOST_URLS} pictures or files by URL"
        )
    async with asyncio.TaskGroup() as group:
        tasks = {url: group.create_task(_outcome(part)) for url, part in urls.items()}
    known: dict[str, str] = {}
    for url, task in tasks.items():
        outcome = task.result()
        if isinstance(outcome, UpstreamFailure):
            raise outcome
        known[url] = outcome
    messages = tuple(_with_content(message, known, kinds) for message in request.messages)
    return msgspec.structs.replace(request, messages=messages)


def _with_content(message: Message, known: dict[str, str], kinds: Kinds) -> Message:
    if not any(is_remote(part, kinds) for part in message.parts):
        return message
    parts = tuple(
        msgspec.structs.replace(part, url=known[part.url])
        if isinstance(part, Image | File) and is_remote(part, kinds)
        else part
        for part in message.parts
    )
    return msgspec.structs.replace(message, parts=parts)


async def _outcome(part: Image | File) -> str | UpstreamFailure:
    """The content as a data: URL. A failure is returned, so that the task group does not wrap it."""
    is_image = isinstance(part, Image)
    try:
        answer = await fetch(part.url, most_bytes=MOST_BYTES, within_s=WITHIN_S)
    except OutboundError as error:
        return UpstreamFailure(FailureKind.BAD_REQUEST, f"a URL in the messages cannot be fetched: {error}")
    if answer.status != 200:
        return UpstreamFailure(
            FailureKind.BAD_REQUEST, f"a URL in the messages was answered with status {answer.status}"
        )
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in ("", "application/octet-stream", "binary/octet-stream"):
        media_type = guessed_type(part.url, "image/png" if is_image else "application/pdf")
    if is_image and not media_type.startswith("image/"):
        return UpstreamFailure(
            FailureKind.BAD_REQUEST, f"a picture's URL leads to something else: {media_type[:60]!r}"
        )
    return f"data:{media_type};base64,{base64.b64encode(answer.body).decode()}"
