"""The value an API hands to the server: a whole body or the frames of a stream, and the usage."""

import random
import string
from collections.abc import Iterator

import msgspec

from routing.simulator.model.models import Model
from routing.simulator.model.prompt_cache import PromptCache
from routing.simulator.shared.prompt import Answer, Generation, Usage
from routing.simulator.shared.wire import Headers, Request

_ALPHABET = string.ascii_letters + string.digits


class Frame(msgspec.Struct, frozen=True):
    """One write of a stream; `tokens` output tokens are in it; `terminal` frames end the answer."""

    data: bytes
    tokens: int = 0
    terminal: bool = False


class Reply(msgspec.Struct, frozen=True):
    """A 200 answer. `broken` and `error` replace a frame when a fault demands it."""

    model: Model
    usage: Usage
    headers: Headers
    body: bytes = b""
    frames: Iterator[Frame] | None = None
    broken: bytes = b""
    error: bytes = b""


class FaultEffects(msgspec.Struct, frozen=True):
    """The changes a fault makes inside an otherwise normal answer."""

    wrong_model: str | None = None
    drop_usage: bool = False
    manner: str | None = None  # how the model continues a cut answer: a value of MANNERS, or "restart"


class Ids:
    """Ids in the providers' forms, reproducible from the seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - ids of a simulator, not secrets

    def new(self, prefix: str, length: int = 24) -> str:
        return prefix + "".join(self._random.choices(_ALPHABET, k=length))

    def hex(self, prefix: str, length: int = 32) -> str:
        return prefix + "".join(self._random.choices("0123456789abcdef", k=length))


class Exchange(msgspec.Struct, frozen=True):
    """One request as an API's endpoint sees it. `now` is Unix seconds; `body` the decoded JSON object."""

    request: Request
    body: dict[str, object]
    path_model: str
    streamed: bool
    request_id: str
    now: int
    ids: Ids
    cache: PromptCache
    effects: FaultEffects = FaultEffects()


def named_model(exchange: Exchange, model: str) -> str:
    return exchange.effects.wrong_model or model


def usage_of(measured: Usage, answers: list[Answer]) -> Usage:
    """The usage of the prompt and of all choices together."""
    return msgspec.structs.replace(
        measured,
        output_tokens=sum(answer.output_tokens for answer in answers),
        reasoning=sum(answer.reasoning_tokens for answer in answers),
    )


def chunks_of(answer: Answer, parts: list[str], size: int) -> list[tuple[str, int]]:
    """The answer's text in chunks of `size` token pieces, with the tokens each one stands for."""
    visible = answer.output_tokens - answer.reasoning_tokens
    chunks = ["".join(parts[start : start + size]) for start in range(0, len(parts), size)]
    if not chunks:
        return []
    share, rest = divmod(max(0, visible), len(chunks))
    return [(chunk, share + (1 if number < rest else 0)) for number, chunk in enumerate(chunks)]


def fragments(text: str, size: int = 12) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


__all__ = [
    "Answer",
    "Exchange",
    "FaultEffects",
    "Frame",
    "Generation",
    "Ids",
    "Reply",
    "chunks_of",
    "fragments",
    "named_model",
    "usage_of",
]
