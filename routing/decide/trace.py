"""What a decision leaves behind: enough to explain it and, with the snapshot's version, to make it again."""

import msgspec

from routing.decide.filters import Removal
from routing.decide.prediction.features import Summary
from routing.language.arms import Arm
from routing.language.chat import Mode, Strategy


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One candidate; `removed` None: it was ranked, by these very numbers, rounded as they are."""

    arm: str
    model: str
    effort: str | None
    name: str
    provider: str
    p_success: float
    low: float  # 90 % interval of p_success
    high: float
    cost_usd: float | None  # None: unpriced
    latency_ms: float
    ttft_ms: float
    p_up: float
    output_tokens: int
    scored: bool  # somebody measured the model
    utility: float | None = None  # in the strategy's own unit
    competent: bool = True  # False: under the floor of competence, chosen only when nobody else can
    learned: float = 0.0  # what the account's own outcomes added to p_success
    removed: Removal | None = None

    @property
    def believed(self) -> float:
        """P(success) as strategies count it: the lower end for a model nobody measured."""
        return self.p_success if self.scored else self.low


class Baseline(msgspec.Struct, frozen=True):
    """What one fixed model would have cost. USD."""

    model: str
    cost_usd: float | None


class Trace(msgspec.Struct, frozen=True):
    snapshot: str
    artefact: str
    mode: Mode
    strategy: Strategy
    stream: bool
    features: Summary
    query_type: str
    complexity: float  # predicted failure of the median arm, 0..1
    difficulty: float  # logits; 0 is benchmark-hard
    skills: dict[str, float]
    candidates: tuple[Candidate, ...]  # ranked first, best first; then those removed
    chain: tuple[str, ...]
    reason: str
    flip: str  # what would have changed the choice
    input_tokens: int  # for the chosen arm
    output_tokens: int
    baseline: Baseline | None
    saved_usd: float | None  # against the baseline, expected; negative: dearer
    selection_probability: float
    explored: bool
    notes: tuple[str, ...] = ()
    pinned: str | None = None  # manual mode: the arm asked for
    fallback: bool = True  # others may stand in for the first of the chain


class Forecast(msgspec.Struct, frozen=True):
    """What one arm of the chain is expected to take."""

    arm: Arm
    cost_usd: float | None
    input_tokens: int
    output_tokens: int
    latency_ms: float
    ttft_ms: float
