"""Prompt caching as providers do it: a prefix seen by the same model within five minutes is cheaper."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

_TTL_S = 300.0
_BLOCK = 512  # characters a link of the hash chain covers
_MOST_ENTRIES = 50_000


class PromptCache:
    """Remembers prompt prefixes by a chain of hashes over blocks of 512 characters."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expiries: OrderedDict[bytes, float] = OrderedDict()

    def matched(self, owner: str, text: str) -> int:
        """Characters at the start of `text` that `owner` (a model, perhaps with a key) has seen."""
        now = self._clock()
        length = 0
        for end, link in self._links(owner, text):
            expires = self._expiries.get(link)
            if expires is None or expires < now:
                break
            length = end
        return length

    def remember(self, owner: str, text: str) -> None:
        expires = self._clock() + _TTL_S
        for _, link in self._links(owner, text):
            self._expiries[link] = expires
            self._expiries.move_to_end(link)
        while len(self._expiries) > _MOST_ENTRIES:
            self._expiries.popitem(last=False)

    def _links(self, owner: str, text: str) -> list[tuple[int, bytes]]:
        """Ends and hashes of whole blocks; a last short block counts when the text ends there."""
        links: list[tuple[int, bytes]] = []
        link = owner.encode()
        for start in range(0, len(text), _BLOCK):
            block = text[start : start + _BLOCK]
            link = blake2b(link + block.encode("utf-8", "replace"), digest_size=12).digest()
            links.append((start + len(block), link))
        return links
