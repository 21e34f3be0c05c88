"""The facts of a model, and the arm (model and reasoning effort) that a decision chooses.

Plain values without Django, shared by the adapters, the decision and the catalog.
"""

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec


class Effort(StrEnum):
    """Reasoning efforts in ascending order; each adapter translates them for its provider."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


# Thinking budget in tokens, at most, and the effort it stands for
_EFFORT_BY_BUDGET = (
    (1024, Effort.MINIMAL),
    (4096, Effort.LOW),
    (12_000, Effort.MEDIUM),
    (24_000, Effort.HIGH),
)


def effort_of_budget(tokens: int) -> Effort:
    """The effort that a thinking budget in tokens stands for."""
    return next((effort for most, effort in _EFFORT_BY_BUDGET if tokens <= most), Effort.XHIGH)


class Capability(StrEnum):
    VISION = "vision"
    PDF = "pdf"
    AUDIO_IN = "audio_in"
    VIDEO_IN = "video_in"
    TOOLS = "tools"
    FORCED_TOOLS = "forced_tools"
    PARALLEL_TOOLS = "parallel_tools"
    STRUCTURED_OUTPUT = "structured_output"
    REASONING = "reasoning"
    SAMPLING = "sampling"  # temperature, top_p and penalties are honoured
    N = "n"  # several choices in one call
    LOGPROBS = "logprobs"
    STOP = "stop"
    SEED = "seed"
    LOGIT_BIAS = "logit_bias"
    MANY_TOOLS = "many_tools"  # more than `choices.MOST_TOOLS`


class Tokenizer(StrEnum):
    """Families of tokenizers; a model's family decides how many tokens a text is for it."""

    O200K = "o200k"
    CLAUDE_3 = "claude-3"  # Claude 3 to 4.6
    CLAUDE_4_7 = "claude-4.7"  # and later
    GEMINI = "gemini-2"


class SecondApi(msgspec.Struct, frozen=True):
    """The requests that a model's main API refuses: they go to its provider's second API.

    The second API returns one choice a call. `with_tools` lists efforts as sent; None: no effort is sent.
    """

    always: bool = False
    with_tools: tuple[Effort | None, ...] = ()
    with_efforts: tuple[Effort, ...] = ()
    with_file_urls: bool = False
    with_cache_lifetimes: tuple[str, ...] = ()


class ModelFacts(msgspec.Struct, frozen=True):
    """One catalog model as the adapters and the decision see it. Windows and caps are in tokens."""

    id: str
    provider: str  # name of a configured provider
    dialect: str  # names the adapter of its provider's API in routing.providers.adapters
    upstream_id: str  # what to send as the model's name
    name: str
    status: str  # current, legacy, limited_access
    tier: str  # default or premium
    context_window: int
    max_input_tokens: int
    max_output_tokens: int
    capabilities: frozenset[Capability]
    efforts: tuple[Effort, ...] = ()  # accepted by the model, ascending; empty: it takes no effort
    opt_in_efforts: tuple[Effort, ...] = ()  # of a model that thinks only when a caller asks for it
    default_effort: Effort | None = None  # the provider's effort when none is sent
    quirks: dict[str, Any] = {}
    released: date | None = None
    shutdown: date | None = None
    aliases: tuple[str, ...] = ()
    tokenizer: Tokenizer = Tokenizer.O200K  # its API's; routing.catalog.tokenizers knows the exceptions
    second_api: SecondApi | None = None  # None: its provider has one API


class ApiFacts(NamedTuple):
    """Facts that hold for every model behind a provider's API; each adapter states its own."""

    capabilities: frozenset[Capability] = frozenset()
    with_sampling: frozenset[Capability] = frozenset()  # only of models that take sampling unconditionally
    tokenizer: Tokenizer = Tokenizer.O200K
    second_api: Callable[[ModelFacts], SecondApi] | None = None  # from a model's quirks and efforts


class Arm(msgspec.Struct, frozen=True, order=True):
    """The unit of choice. `effort` None: the model takes none, or its provider's default is meant."""

    model: str
    effort: Effort | None = None

    @property
    def name(self) -> str:
        return f"{self.model}@{self.effort}" if self.effort else self.model
