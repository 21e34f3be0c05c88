"""Prompt caching as providers do it: a prefix seen by the same model within five minutes is cheaper."""

import time
from collections.abc import Callable
from hashlib import blake2b

from cachetools import TTLCache

_TTL_S = 300.0
_BLOCK = 512  # characters a link of the hash chain covers
_MOST_ENTRIES = 50_000


class PromptCache:
    """Remembers prompt prefixes by a chain of hashes over blocks of 512 characters."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._links_cached: TTLCache[bytes, bool] = TTLCache(_MOST_ENTRIES, _TTL_S, timer=clock)

    def matched(self, owner: str, text: str) -> int:
        """Characters at the start of `text` that `owner` (a model, perhaps with a key) has seen."""
        length = 0
        for end, link in self._links(owner, text):
            if link not in self._links_cached:
                break
            length = end
        return length

    def remember(self, owner: str, text: str) -> None:
        for _, link in self._links(owner, text):
            self._links_cached[link] = True

    def _links(self, owner: str, text: str) -> list[tuple[int, bytes]]:
        """Ends and hashes of whole blocks; a last short block counts when the text ends there."""
        links: list[tuple[int, bytes]] = []
        link = owner.encode()
        for start in range(0, len(text), _BLOCK):
            block = text[start : start + _BLOCK]
            link = blake2b(link + block.encode("utf-8", "replace"), digest_size=12).digest()
            links.append((start + len(block), link))
        return links
