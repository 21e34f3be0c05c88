"""Server-sent events for scripts of the pages."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

MEDIA_TYPE = "text/event-stream"


class EventStream(StreamingHttpResponse):
    """Each payload as an event. Closing the response closes its generator, and so settles the request."""

    def __init__(self, payloads: AsyncGenerator[dict[str, Any]]) -> None:
        self._frames = _frames(payloads)
        super().__init__(self._frames, content_type=MEDIA_TYPE)
        self.headers["X-Accel-Buffering"] = "no"  # nginx passes events on as they come

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._frames


def wants_events(request: HttpRequest) -> bool:
    return MEDIA_TYPE in request.headers.get("Accept", "")


async def _frames(payloads: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[bytes]:
    try:
        async for payload in payloads:
            yield f"data: {json.dumps(payload)}\n\n".encode()
    finally:
        await payloads.aclose()
