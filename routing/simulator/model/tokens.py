"""How many tokens a text is, by the tokenizer of the model that reads it.

OpenAI: o200k_base, exactly. Claude: ctok's reconstruction. Gemini ships no tokenizer: 1.1 times o200k
(catalog.md §5).
"""

import codecs
import math
from functools import lru_cache

import bpe_openai

from routing.simulator.model.models import Model

try:
    import ctok
except ImportError:  # ctok needs a newer Python than our oldest supported version
    ctok = None

_CHUNK = 200_000  # characters: bpe_openai refuses a million at once
_CTOK_SAMPLE = 100_000  # characters: ctok is pure Python; beyond this it is scaled up
_GEMINI_FACTOR = 1.1
_CLAUDE_FACTORS = {"4.5": 1.15, "4.7": 1.35, "4.8": 1.35}  # only when ctok is absent

_o200k = bpe_openai.get_encoding("o200k_base")


def count(text: str, model: Model) -> int:
    """Tokens of `text` for `model`; for Claude beyond 100,000 characters scaled from the first 100,000."""
    if not text:
        return 0
    if len(text) > 20_000:
        return _count(text, model.provider, _claude_version(model))
    return _cached_count(text, model.provider, _claude_version(model))


def pieces(text: str) -> list[str]:
    """The text cut at o200k token borders, never inside a character; joined it is the text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    decoded = [decoder.decode(_o200k.decode_single_token_bytes(token)) for token in _encode(text)]
    return [piece for piece in decoded if piece]


def truncate(text: str, limit: int, model: Model) -> str:
    """The longest prefix, at token borders, of at most `limit` tokens for `model`."""
    if limit <= 0:
        return ""
    parts = pieces(text)
    low, high = 0, len(parts)
    while low < high:
        middle = (low + high + 1) // 2
        if count("".join(parts[:middle]), model) <= limit:
            low = middle
        else:
            high = middle - 1
    return "".join(parts[:low])


def warm_up() -> None:
    """Loads the vocabularies, so that the first request is as fast as the second."""
    _encode("warm")
    if ctok is not None:
        for version in _CLAUDE_FACTORS:
            ctok.token_count("warm", version)


@lru_cache(maxsize=8192)
def _cached_count(text: str, provider: str, version: str) -> int:
    return _count(text, provider, version)


def _count(text: str, provider: str, version: str) -> int:
    if provider == "anthropic":
        return _count_claude(text, version)
    if provider == "google":
        return math.ceil(len(_encode(text)) * _GEMINI_FACTOR)
    return len(_encode(text))


def _count_claude(text: str, version: str) -> int:
    if ctok is None:
        return math.ceil(len(_encode(text)) * _CLAUDE_FACTORS[version])
    sample = text[:_CTOK_SAMPLE]
    counted: int = ctok.token_count(sample, version)
    return math.ceil(counted * len(text) / len(sample))


def _encode(text: str) -> list[int]:
    if len(text) <= _CHUNK:
        return list(_o200k.encode_ordinary(text))
    return [
        token
        for start in range(0, len(text), _CHUNK)
        for token in _o200k.encode_ordinary(text[start : start + _CHUNK])
    ]


def _claude_version(model: Model) -> str:
    """The tokenizer generation: 4.8 and later, 4.7, or before (ctok's families)."""
    if model.provider != "anthropic":
        return ""
    numbers = [int(part) for part in model.id.split("-") if part.isdigit()]
    generation = [*numbers, 0, 0][:2]
    if generation >= [4, 8]:
        return "4.8"
    return "4.7" if generation == [4, 7] else "4.5"
