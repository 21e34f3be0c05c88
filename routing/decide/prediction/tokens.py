"""Counts input tokens fast: o200k exactly, other tokenizers by their ratio to it, long inputs from samples.

Ratios: measured with `ctok` 1.3.0 (a reconstruction of Claude's tokenizers) against `bpe-openai` o200k_base
on the routing dev prompts, Markdown and Python sources, and everyday sentences per language, 2026-11-23:
English 1.12 (1.00-1.18) before Claude 4.7 and 1.48 (1.35-1.60) since. Gemini's 1.1 is an estimate.
"""

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterator
from hashlib import blake2b

from routing.catalog.tokenizers import Tokenizer, tokenizer_of
from routing.decide.prediction.claude_tokens import claude_counter
from routing.decide.prediction.translation import beyond_latin
from routing.language import o200k
from routing.language.arms import ModelFacts
from routing.language.chat import Audio, ChatRequest, File, Image, Message, Opaque, Role

SAMPLE_OVER = 4000  # characters counted exactly; beyond, WINDOWS pieces of WINDOW are counted and scaled up
WINDOWS, WINDOW = 5, 800
PIECE = 20_000  # characters counted at once where others wait: 2 ms of English, 7 of the slowest text
EXACT_UP_TO = 50_000  # characters: 100 ms for Claude's tokenizers
MOST_REMEMBERED = 4096  # token counts of system texts: 0.6 MB at most
SCRIPT_HEAD = 600  # characters from which the script is recognised
MESSAGE_OVERHEAD = 4  # role and separators of one message; OpenAI's cookbook gives 3 to 4
REQUEST_OVERHEAD = 6  # what frames any request; ctok finds 6 to 8
TOOL_OVERHEAD = 12  # what frames one tool definition
IMAGE_TOKENS = 1100  # a 1024 px image: 765 to 1,600 by provider
FILE_TOKENS_PER_BYTE = 0.05  # a PDF page is about 40 kB and 1,500 to 3,000 tokens as text and image
FILE_TOKENS_UNSEEN = 6000  # a file passed as a link, whose size is unknown
CARRIED_REASONING_TOKENS_PER_CHAR = (
    0.2  # reasoning sent back: encrypted, in base64; less where another provider answers
)
BOUND = 1.25  # no piece of text has more than so many times the tokens that the ratios give it
AUDIO_TOKENS_PER_BYTE = 0.001  # 16 kHz 16-bit mono at 32 tokens a second


_CTOK_VERSION = {Tokenizer.CLAUDE_3: "4.5", Tokenizer.CLAUDE_4_7: "4.8"}

# Tokens per o200k token, by the text's script. English is the mean over sources; the others are ±10 %.
_RATIOS: dict[Tokenizer, dict[str, float]] = {
    Tokenizer.O200K: {"english": 1.0, "latin": 1.0, "cjk": 1.0, "cyrillic": 1.0, "other": 1.0},
    Tokenizer.CLAUDE_3: {"english": 1.12, "latin": 1.60, "cjk": 1.40, "cyrillic": 1.34, "other": 2.35},
    Tokenizer.CLAUDE_4_7: {"english": 1.48, "latin": 2.20, "cjk": 1.40, "cyrillic": 1.35, "other": 2.36},
    Tokenizer.GEMINI: {"english": 1.1, "latin": 1.1, "cjk": 1.1, "cyrillic": 1.1, "other": 1.1},
}


# Token counts of system texts under keyed hashes, so that no dump of them tells which texts were sent.
_system_key = secrets.token_bytes(32)
_system_counts: dict[bytes, int] = {}


class InputSize:
    """The size of a request's input: counted once, then converted to any tokenizer's tokens.

    `counted`: the o200k tokens of `input_text`, if they are known already.
    """

    def __init__(self, request: ChatRequest, counted: int | None = None) -> None:
        joined = input_text(request)
        self.sampled = counted is None and len(joined) > SAMPLE_OVER
        first = request.messages[0] if request.messages else None
        if counted is not None:
            self._text = counted
        elif first is not None and first.role is Role.SYSTEM and not self.sampled:
            self._text = _count_after_system(first.text, joined)
        else:
            self._text = count_o200k(joined)
        self._script = script(joined)
        self._fixed = (
            REQUEST_OVERHEAD
            + MESSAGE_OVERHEAD * len(request.messages)
            + TOOL_OVERHEAD * len(request.tools)
            + sum(_media_tokens(message) for message in request.messages)
        )

    def tokens(self, tokenizer: Tokenizer) -> int:
        return round(self._text * _RATIOS[tokenizer][self._script]) + self._fixed


def input_text(request: ChatRequest) -> str:
    """All text of a request that its model reads: messages, tools and schema."""
    texts = [piece for message in request.messages for piece in _texts(message)]
    texts += [_tool_text(tool.name, tool.description, tool.parameters) for tool in request.tools]
    texts += [tool.grammar.definition for tool in request.tools if tool.grammar is not None]
    if request.response_format is not None and request.response_format.schema is not None:
        texts.append(request.response_format.description or "")
        texts.append(json.dumps(request.response_format.schema))
    return "\n".join(texts)


def counted_pieces(text: str) -> Iterator[int]:
    """The o200k tokens of a text's pieces, each counted in a few milliseconds; cuts add one token each."""
    for start in range(0, len(text), PIECE):
        yield o200k.count(text[start : start + PIECE])


def count_input(request: ChatRequest, facts: ModelFacts) -> int:
    """Return the input tokens of the whole request for this model: text, tools, schema, media and framing."""
    return InputSize(request).tokens(tokenizer_of(facts))


def exact_count(text: str, facts: ModelFacts) -> int:
    """Return the tokens of a text: exact for o200k, and for Claude if `ctok` is installed (2 ms per kB)."""
    tokenizer = tokenizer_of(facts)
    version = _CTOK_VERSION.get(tokenizer)
    claude = claude_counter() if version is not None else None
    if version is not None and claude is not None:
        return claude(text, version) - claude("", version)
    return round(o200k.count(text) * _RATIOS[tokenizer][script(text)])


def charged_count(text: str, facts: ModelFacts) -> int:
    """As `exact_count`, but a long text is estimated from samples: counting it would block the process."""
    if len(text) <= EXACT_UP_TO:
        return exact_count(text, facts)
    return round(count_o200k(text) * _RATIOS[tokenizer_of(facts)][script(text)])


def piece_counters(facts: ModelFacts) -> tuple[Callable[[str], float], Callable[[str], float]]:
    """Return two functions of a piece of text: its tokens for this model, and a fast upper bound of them.

    Nothing is rounded and no framing is counted, so the counts of pieces can be added. Exact where
    `exact_count` is; elsewhere both are the estimate.
    """
    tokenizer = tokenizer_of(facts)
    version = _CTOK_VERSION.get(tokenizer)
    claude = claude_counter() if version is not None else None

    def estimate(text: str) -> float:
        return o200k.count(text) * _RATIOS[tokenizer][script(text)]

    if version is None or claude is None:
        return estimate, estimate
    frame = claude("x", version) - 1
    return (lambda text: claude(text, version) - frame), (lambda text: estimate(text) * BOUND)


def load() -> None:
    """Read the vocabularies now instead of in the first request: that takes half a second."""
    o200k.tokenizer()
    if (claude := claude_counter()) is not None:
        for version in _CTOK_VERSION.values():
            claude("x", version)


def count_o200k(text: str) -> int:
    """Return o200k tokens; over SAMPLE_OVER characters, an estimate from evenly spread windows."""
    if len(text) <= SAMPLE_OVER:
        return o200k.count(text)
    step = (len(text) - WINDOW) / (WINDOWS - 1)
    starts = [round(i * step) for i in range(WINDOWS)]
    counted = sum(o200k.count(text[start : start + WINDOW]) for start in starts)
    return round(counted * len(text) / (WINDOWS * WINDOW))


def _count_after_system(system: str, joined: str) -> int:
    """Return o200k tokens of a text that begins with the system text and a line break.

    The next request often has the same system text. No token has a line break before a letter, so what begins
    with a letter can be counted apart from the lines above it.
    """
    length = len(system) + 1
    if joined[length - 1 : length] != "\n" or not joined[length : length + 1].isalpha():
        return o200k.count(joined)
    raw = joined[:length].encode("utf-8", "surrogatepass")
    digest = blake2b(raw, key=_system_key, digest_size=16).digest()
    count = _system_counts.get(digest)
    if count is None:
        if len(_system_counts) >= MOST_REMEMBERED:
            _system_counts.clear()
        count = _system_counts[digest] = o200k.count(joined[:length])
    return count + o200k.count(joined[length:])


def script(text: str) -> str:
    """Return english, latin (another language in it), cjk, cyrillic or other, from the text's head."""
    head = text[:SCRIPT_HEAD]
    if head.isascii():
        return "english" if _looks_english(head) else "latin"
    beyond = beyond_latin(head)
    if beyond:
        least = 0.3 * sum(map(str.isalpha, head))
        for name, letters in _SCRIPTS.items():
            if len(letters.findall(beyond)) > least:
                return name
    return "english" if _looks_english(head) else "latin"


# In this order: "other" matches every script but Latin.
_SCRIPTS = {
    "cjk": re.compile(r"[\u2e80-\u9fff\uac00-\ud7ff]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "other": re.compile(r"[^\W\d_\u0000-\u024f]"),
}
_FOREIGN = frozenset((
    "der", "die", "das", "und", "ist", "nicht", "wir", "les", "des", "est", "une", "que", "los", "las",
    "por", "para", "como", "del", "il", "che", "di", "non",
))  # fmt: skip


def _looks_english(text: str) -> bool:
    words = text.lower().split()
    return sum(map(_FOREIGN.__contains__, words)) <= 0.04 * len(words)


def _texts(message: Message) -> list[str]:
    texts = [message.text] if message.parts else []
    texts += [_text_in(part) for part in message.parts if isinstance(part, File) and _is_text(part)]
    return texts + [f"{call.name}{call.arguments}" for call in message.tool_calls]


def _tool_text(name: str, description: str | None, parameters: object) -> str:
    return f"{name} {description or ''} {json.dumps(parameters)}"


def _is_text(part: File) -> bool:
    """Return whether a file is a text that is sent along, which models read whole."""
    return part.url.startswith(("data:text/", "data:application/json"))


def _text_in(part: File) -> str:
    head, _, data = part.url.partition(",")
    if not head.endswith(";base64"):
        return data
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except ValueError:  # damaged: the provider refuses it
        return data


def _media_tokens(message: Message) -> int:
    total = 0.0
    for part in message.parts:
        match part:
            case Image():
                total += IMAGE_TOKENS
            case File() if not _is_text(part):
                size = len(part.url) * 0.75 if part.url.startswith("data:") else 0
                total += size * FILE_TOKENS_PER_BYTE or FILE_TOKENS_UNSEEN
            case Audio():
                total += len(part.data) * 0.75 * AUDIO_TOKENS_PER_BYTE
            case Opaque():
                total += len(str(part.data)) * CARRIED_REASONING_TOKENS_PER_CHAR
    return round(total)
