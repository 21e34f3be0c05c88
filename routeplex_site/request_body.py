"""Request bodies: how much is read, for whom, how long it may take, and how much all bodies hold together."""

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from core.errors import ServiceUnavailable
from core.hot_settings import hot
from routeplex_site.http_protocol import has_arrived
from routing.language.errors import BadRequest, PayloadTooLarge

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Limit = Callable[[int], Awaitable[int]]

_M_MMAP_THRESHOLD = -3  # malloc.h
_KEYLESS_SHARE = 0.125  # of the budget
UNCOUNTED_BYTES = 64 * 1024  # of each body: ordinary requests are served while large ones fill the budget


class CallerGone(Exception):
    """The connection closed before the whole body arrived."""


class BodyBudget:
    """The bytes of request bodies that this process holds, from arrival to the end of the response.

    `share`: of BODIES_IN_FLIGHT_BYTES.
    """

    def __init__(self, share: float) -> None:
        self._share, self.held = share, 0

    def take(self, size: int) -> None:
        """Raises ServiceUnavailable when all bodies together would exceed the budget."""
        if self.held + size > self._share * hot.BODIES_IN_FLIGHT_BYTES:
            raise ServiceUnavailable(
                "Too many large requests are being received at the same time. Try again.",
                headers={"Retry-After": "2"},
            )
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


class Budgets:
    """Bodies without a valid key have a small budget of their own, so that they crowd out no others."""

    def __init__(self) -> None:
        self.keyless, self.keyed = BodyBudget(_KEYLESS_SHARE), BodyBudget(1 - _KEYLESS_SHARE)


class RequestBody:
    """The body of one request. A context manager: leaving it returns the body's bytes to the budget."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive, budgets: Budgets) -> None:
        self._receive, self._budgets, self._budget = receive, budgets, budgets.keyless
        self._counted = self._most = 0
        self.stated_size = _stated_size(headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.give_back(self._counted)

    async def read(self, limit: Limit) -> bytes:
        """The whole body. `limit(size)`: the most bytes that this caller may send, who sends at least `size`.

        Raises PayloadTooLarge as soon as the body exceeds its limit, BadRequest when it is not here after
        BODY_TIMEOUT_S, ServiceUnavailable (see BodyBudget), CallerGone.
        """
        if has_arrived(self._receive):
            return await self._read(limit)
        try:
            async with asyncio.timeout(hot.BODY_TIMEOUT_S):
                return await self._read(limit)
        except TimeoutError:
            raise BadRequest(
                f"The request body did not arrive within {hot.BODY_TIMEOUT_S:g} s. Send less, or faster."
            ) from None

    async def _read(self, limit: Limit) -> bytes:
        await self._admit(self.stated_size, limit)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerGone
            chunk = message.get("body", b"")
            size += len(chunk)
            await self._admit(size, limit)
            self._count(size)
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)

    async def _admit(self, size: int, limit: Limit) -> None:
        if size > self._most:
            self._most = await limit(size)
        is_keyless = self._most <= hot.KEYLESS_BODY_BYTES
        if not is_keyless and self._budget is self._budgets.keyless:
            self._budget.give_back(self._counted)
            self._budget, self._counted = self._budgets.keyed, 0
        if size > self._most:
            advice = "Send less, or a valid API key." if is_keyless else "Send less."
            raise PayloadTooLarge(f"The request body is larger than {self._most:,} bytes. {advice}")

    def _count(self, size: int) -> None:
        counted = max(0, size - UNCOUNTED_BYTES)
        self._budget.take(counted - self._counted)
        self._counted = counted


def return_large_buffers() -> None:
    """Have glibc give buffers over 1 MB back to the system when they are freed.

    It raises that limit to the size of what is freed, up to 32 MB, and then keeps the holes that large bodies
    leave in its heap: after a hundred bodies of 19 MB a process stayed at 1.9 GB, with this at 0.6 GB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)


def _stated_size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The Content-Length; 0 where it is missing."""
    stated = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(stated) if stated.isdigit() and len(stated) < 16 else 0
