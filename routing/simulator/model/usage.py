"""How many tokens a prompt is, and how many of them come from the prompt cache."""

import base64
import binascii
import struct

import msgspec

from routing.simulator.model import tokens
from routing.simulator.model.prompt_cache import PromptCache
from routing.simulator.shared.prompt import Generation, Usage

_PER_TURN = {"openai": 4, "anthropic": 4, "google": 1}  # the frame around a message
_CACHE_MINIMUM = 1024  # tokens, unless the catalog states another minimum
_CACHE_STEP = 128  # tokens: OpenAI reports cached tokens in such steps
_IMAGE_DEFAULT = {"openai": 765, "anthropic": 1568, "google": 258}
_IMAGE_LOW_DETAIL = 85
DOCUMENT_TOKENS = 1500  # a short PDF
AUDIO_TOKENS = 320  # ten seconds at 32 tokens a second


def segments(generation: Generation) -> list[str]:
    """The prompt as the model reads it: tools, then every turn."""
    texts = [msgspec.json.encode(generation.tools).decode()] if generation.tools else [""]
    for turn in generation.turns:
        texts.append("\n".join([f"{turn.role}:", turn.text, *turn.calls, *turn.results]))
    return texts


def measure(generation: Generation, cache: PromptCache) -> Usage:
    """Prompt usage where caching is implicit (OpenAI, Gemini)."""
    total = input_tokens(generation)
    owner, text = generation.model.id, "\0".join(segments(generation))
    matched = cache.matched(owner, text)
    cache.remember(owner, text)
    cached = _stepped(total * matched // max(1, len(text)), generation)
    writes = _stepped(total, generation) - cached if generation.model.bills_cache_writes else 0
    return Usage(input_tokens=total, cached=cached, cache_write=max(0, writes))


def measure_marked(generation: Generation, cache: PromptCache, marked_turns: int) -> Usage:
    """Prompt usage where the caller marks what to cache: tools and the first `marked_turns` turns.

    `marked_turns` -1 means that nothing is marked.
    """
    total = input_tokens(generation)
    if marked_turns < 0:
        return Usage(input_tokens=total)
    parts = segments(generation)
    whole = max(1, len("\0".join(parts)))
    region = "\0".join(parts[: 1 + marked_turns])
    in_region = total * len(region) // whole
    if in_region < generation.model.quirks.get("prompt_cache_min_tokens", _CACHE_MINIMUM):
        return Usage(input_tokens=total)
    matched = cache.matched(generation.model.id, region)
    cache.remember(generation.model.id, region)
    cached = total * matched // whole
    return Usage(input_tokens=total, cached=cached, cache_write=in_region - cached)


def input_tokens(generation: Generation) -> int:
    frame = _PER_TURN[generation.model.provider]
    text = sum(tokens.count(segment, generation.model) for segment in segments(generation) if segment)
    return text + frame * len(generation.turns) + 3 + sum(turn.media for turn in generation.turns)


def image_tokens(provider: str, data: str | None, detail: str | None = None) -> int:
    """Tokens of an image; `data` is base64 when it came inline. Claude counts pixels / 750 [docs]."""
    if provider == "openai" and detail == "low":
        return _IMAGE_LOW_DETAIL
    size = _png_size(data) if data and provider == "anthropic" else None
    if size is None:
        return _IMAGE_DEFAULT[provider]
    return min(_IMAGE_DEFAULT[provider], max(1, size[0] * size[1] // 750))


def _stepped(count: int, generation: Generation) -> int:
    if count < generation.model.quirks.get("prompt_cache_min_tokens", _CACHE_MINIMUM):
        return 0
    return count // _CACHE_STEP * _CACHE_STEP if generation.model.provider == "openai" else count


def _png_size(data: str) -> tuple[int, int] | None:
    try:
        head = base64.b64decode(data[:64])
    except (binascii.Error, ValueError):
        return None
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height
