"""The immutable copy of the catalog that a decision reads.

Plain values without Django, clock or I/O; `catalog/build.py` makes one every few seconds from the tables, the
configured providers and the measurements. A trace names its snapshot's version.
"""

from datetime import datetime

import msgspec

from billing.prices.prices import PriceTier
from routing.language.arms import Arm, ModelFacts


class PublishedScore(msgspec.Struct, frozen=True):
    """One published figure about a model, as in data/quality_priors.json."""

    domain: str
    metric: str
    value: float
    source: str
    ci95: tuple[float, float] | None = None
    n: int | None = None
    variant: str | None = None  # usually the effort it was measured at


class Latency(msgspec.Struct, frozen=True):
    """Time to first token in ms and decoding speed in tokens/s. `samples` 0: a prior by tier and effort."""

    ttft_p50_ms: float
    ttft_p95_ms: float
    tokens_per_second: float
    samples: int = 0


class OutputRatio(msgspec.Struct, frozen=True):
    """Actual over forecast tokens in traffic, at one level of `catalog/length_ratios.py`."""

    visible: float
    reasoning: float


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a decision knows about models. Mappings are by catalog id unless noted."""

    version: str
    built_at: datetime
    models: dict[str, ModelFacts]  # those of configured providers, not retired
    arms: tuple[Arm, ...]  # those the router may choose; the caller may pin others
    prices: dict[str, tuple[PriceTier, ...]]  # in force at built_at; a model that is missing is unpriced
    latency: dict[Arm, Latency]
    p_up: dict[str, float]  # decayed share of attempts that did not fail
    blocked: dict[str, str]  # models that must not be called, with the reason in words: breaker open …
    scores: dict[str, tuple[PublishedScore, ...]]
    output_tokens: dict[str, OutputRatio] = {}  # corrections of their forecast, by `length_ratios.Level.key`
