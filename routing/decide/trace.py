"""The record of a decision: enough to explain it and to make it again. It never holds text of the request.

The ledger stores a `Record`, whose candidates are columns of numbers. It is read back as a `Trace`.
"""

from enum import StrEnum
from typing import Any, Self

import msgspec

from core import packed_json
from core.packed_json import Table
from routing.decide.prediction.features import Summary
from routing.language.arms import Arm
from routing.language.chat import Mode, Strategy


class Reason(StrEnum):
    NOT_ALLOWED = "not_allowed"
    EXCLUDED = "excluded"
    PIN_ONLY = "pin_only"
    LIMITED_ACCESS = "limited_access"
    TEST_MODE = "test_mode"
    RETIRED = "retired"
    UNPRICED = "unpriced"
    EFFORT = "effort"
    CAPABILITY = "capability"
    CONTEXT = "context"
    MAX_COST = "max_cost"
    BUDGET = "budget"
    UNAVAILABLE = "unavailable"


class Removal(msgspec.Struct, frozen=True, gc=False):
    code: Reason
    words: str  # continue the candidate's name: "does not see images"


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One arm of the snapshot. `removed` None: it was ranked, by exactly these rounded numbers."""

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
    scored: bool  # the model has published scores
    utility: float | None = None  # in the strategy's own unit
    competent: bool = True  # False: under the competence floor, chosen only when no other is left
    learned: float = 0.0  # the shift of p_success from the account's own outcomes
    removed: Removal | None = None
    retires: str | None = None  # the day (ISO) its model is retired, when that is within RETIRING_DAYS

    @property
    def believed(self) -> float:
        """P(success) as strategies count it: the lower end of the interval for a model without scores."""
        return self.p_success if self.scored else self.low


class Baseline(msgspec.Struct, frozen=True):
    """The forecast for one fixed model, which savings are measured against: its own tokens and cost in USD.

    Settlement scales the output tokens by how the answer's visible length compared with `answer_tokens`.
    Output tokens are of all choices together. None: the record is older than the field.
    """

    model: str
    cost_usd: float | None
    effort: str | None = None
    low_usd: float | None = None  # 90 % interval of cost_usd, from the spread of the output forecast
    high_usd: float | None = None
    input_tokens: int | None = None  # of one call, counted for this model
    calls: int = 1  # upstream calls that the choices take, each paying for the input
    visible_tokens: int | None = None
    reasoning_tokens: int | None = None
    max_output_tokens: int | None = None  # what the model and the request's limit allow
    answer_tokens: int | None = None  # visible tokens forecast for the chosen arm
    spread: float | None = None  # sd of log output tokens around the forecast


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a request and a choice: all of a trace but its candidates."""

    snapshot: str
    artefact: str
    mode: Mode
    strategy: Strategy
    stream: bool
    features: Summary
    query_type: str
    complexity: float  # how often an average model without much reasoning fails on such a request, 0..1
    difficulty: float  # logits; 0 is benchmark-hard
    skills: dict[str, float]
    chain: tuple[str, ...]
    reason: str
    flip: str  # the smallest change that would have changed the choice, in words
    input_tokens: int  # for the chosen arm
    output_tokens: int
    baseline: Baseline | None
    saved_usd: float | None  # expected saving against the baseline; negative: more expensive
    selection_probability: float
    explored: bool
    notes: tuple[str, ...] = ()
    pinned: str | None = None  # manual mode: the arm the caller named
    fallback: bool = True  # False: the chain has one arm
    # Records from before these fields have none; the defaults make them rank as they did.
    tolerance: float = 0.0  # difference of P(success) that `auto` counted as none
    level: float | None = None  # of the request, from 1 (trivial) to 5 (very hard)
    everyday: float | None = None  # from 1, like everyday traffic, to 0, like a benchmark question
    answer_tokens: int | None = None  # of a good visible answer
    refined: bool = False  # the second look of the encoder is part of the estimate


class Trace(Facts, frozen=True, kw_only=True):
    """A decision as it is shown and made again."""

    candidates: tuple[Candidate, ...]  # the ranked ones, best first; then the removed ones

    @classmethod
    def of(cls, stored: Any) -> Self:
        """Read a trace from the ledger. Raises msgspec.ValidationError for one without today's fields."""
        return msgspec.convert(stored, cls)


class Record(Facts, frozen=True, kw_only=True):
    """A decision as it is stored. `candidates`: the same as the trace's, as columns."""

    candidates: Table

    @property
    def trace(self) -> Trace:
        """The trace that a reader of the stored record gets."""
        return Trace.of(packed_json.decode(packed_json.encode(self)))


class Forecast(msgspec.Struct, frozen=True):
    """The expected cost, tokens and time of one arm of the chain."""

    arm: Arm
    cost_usd: float | None
    input_tokens: int
    output_tokens: int
    latency_ms: float
    ttft_ms: float
    starting_visible_tokens: int = 0  # before the corrections from traffic, which are learnt against these
    starting_reasoning_tokens: int = 0
    reasoning_tokens: int = 0  # of the output
    reasoning_allowance: int = 0  # tokens on top of a limit of the visible answer
