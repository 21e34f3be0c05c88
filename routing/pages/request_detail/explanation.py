"""The stored trace of a decision as the request page shows it.

Traces outlive the code that wrote them, so each field is read on its own: a field that is missing or has
another shape falls back to its default instead of failing the page.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from routing.language.fidelity import Fidelity
from routing.pages.request_detail.scatter import Point
from routing.templatetags.pages import model_text


class Removed(msgspec.Struct, frozen=True):
    """Why a candidate could not be chosen; `words` continue its name."""

    code: str = ""
    words: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """One arm as the decision saw it; the fields of routing.decide.trace.Entry. USD, ms, shares of 1."""

    arm: str = ""
    model: str = ""
    effort: str | None = None
    name: str = ""
    provider: str = ""
    p_success: float | None = None
    low: float | None = None
    high: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    p_up: float | None = None
    output_tokens: int | None = None
    scored: bool = True
    utility: float | None = None
    competent: bool = True
    learned: float = 0.0
    removed: Removed | None = None
    retires: str | None = None


class Features(msgspec.Struct, frozen=True):
    """Features of the prompt that the decision used; never its text."""

    words: int | None = None
    turns: int | None = None
    tools: bool = False
    images: int = 0
    script: str = ""
    sampled: bool = False


class Explanation(msgspec.Struct, frozen=True):
    """One decision; the fields of routing.decide.trace.Trace but for `candidates`, read one by one."""

    snapshot: str = ""
    artefact: str = ""
    strategy: str = ""
    query_type: str = ""
    complexity: float | None = None
    difficulty: float | None = None
    skills: dict[str, float] = {}
    chain: tuple[str, ...] = ()
    reason: str = ""
    flip: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    saved_usd: float | None = None
    selection_probability: float = 1.0
    explored: bool = False
    notes: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def ranked(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.removed is None]

    @property
    def removed(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.removed is not None]

    @property
    def chosen(self) -> str:
        """The arm's name, as in `Candidate.arm`."""
        return self.chain[0] if self.chain else ""

    @property
    def top_skills(self) -> list[tuple[str, float]]:
        """Those that make up a twentieth of the mix at least, largest first."""
        return sorted(((s, p) for s, p in self.skills.items() if p >= 0.05), key=lambda item: -item[1])


def read_trace(trace: object) -> Explanation:
    data = trace if isinstance(trace, Mapping) else {}
    stored = data.get("candidates")
    candidates = [_read(Candidate, entry) for entry in stored] if isinstance(stored, Sequence) else []
    return msgspec.structs.replace(
        _read(Explanation, {name: value for name, value in data.items() if name != "candidates"}),
        candidates=tuple(candidate for candidate in candidates if candidate.arm),
    )


def read_fidelity(fidelity: object) -> Fidelity:
    """The stored receipt of the request's parameters and output format."""
    return _read(Fidelity, fidelity)


# How the table can be sorted: word in the URL → key, missing values last.
SORTS: dict[str, Callable[[Candidate], Any]] = {
    "success": lambda c: (c.p_success is None, -(c.p_success or 0)),
    "cost": lambda c: (c.cost_usd is None, c.cost_usd),
    "latency": lambda c: (c.latency_ms is None, c.latency_ms),
    "up": lambda c: (c.p_up is None, -(c.p_up or 0)),
}


def sorted_candidates(candidates: Sequence[Candidate], sort: str) -> list[Candidate]:
    """By stored rank, or by `sort` if it names a column."""
    return sorted(candidates, key=SORTS[sort]) if sort in SORTS else list(candidates)


def points(explanation: Explanation, reasons: Mapping[str, str]) -> list[Point]:
    """The candidates that can be drawn: ranked ones with a price. `reasons`: by arm, why each lost."""
    return [
        Point(
            name=candidate.arm,
            usd=candidate.cost_usd,
            p=candidate.p_success,
            low=candidate.p_success if candidate.low is None else candidate.low,
            high=candidate.p_success if candidate.high is None else candidate.high,
            chosen=candidate.arm == explanation.chosen,
            reason=reasons.get(candidate.arm, ""),
            text=model_text(candidate.model, candidate.effort),
        )
        for candidate in explanation.ranked
        if candidate.cost_usd is not None and candidate.p_success is not None
    ]


T = TypeVar("T", bound=msgspec.Struct)


def _read(kind: type[T], stored: object) -> T:
    """As much of the struct as the stored value has in the right shape."""
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if not isinstance(stored, Mapping) or field.encode_name not in stored:
            continue
        try:
            known[field.name] = msgspec.convert(stored[field.encode_name], field.type, strict=False)
        except msgspec.ValidationError:
            continue
    return kind(**known)
