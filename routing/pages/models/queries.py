"""The models of the catalog for the Models page: prices, health, speed, expected success."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from billing.models import ModelPrice
from billing.prices.book import SINCE_EVER
from billing.prices.prices import PriceBook, PriceTier
from core.numbers.formats import provider_name
from routing.catalog.measure import DEGRADED_BELOW
from routing.catalog.models import Model, RetiredModel
from routing.catalog.snapshot import Snapshot
from routing.decide.arm_table import ArmTable, arm_table_of
from routing.decide.prediction.skills import SKILLS
from routing.language.arms import Capability, Effort

CAPABILITIES = {
    Capability.VISION: "sees images",
    Capability.PDF: "reads PDFs",
    Capability.AUDIO_IN: "hears audio",
    Capability.VIDEO_IN: "sees video",
    Capability.TOOLS: "calls tools",
    Capability.PARALLEL_TOOLS: "calls tools in parallel",
    Capability.STRUCTURED_OUTPUT: "keeps to a JSON schema",
    Capability.REASONING: "reasons",
}
_LADDER = list(Effort)


@dataclass(frozen=True)
class Dated:
    """Prices of one tier from a moment on, USD per million tokens by token class. 1970 means always."""

    effective_from: datetime
    over_input_tokens: int
    prices: Mapping[str, Decimal]
    source: str = ""

    @property
    def is_since_ever(self) -> bool:
        return self.effective_from <= SINCE_EVER


@dataclass(frozen=True)
class Measured:
    """Measured speed of a model at one effort in ms and tokens/s; the tier's prior where `samples` is 0."""

    effort: str
    is_default: bool
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    tokens_per_second: float | None
    samples: int


@dataclass(frozen=True)
class Listed:
    """One model of the page. `health`: healthy, degraded, down, not used yet, or off (not offered)."""

    model: Model
    health: str
    health_reason: str
    p_up: float | None
    tiers: Sequence[PriceTier]
    scheduled: Sequence[Dated]
    history: Sequence[Dated]  # prices in force now and before, newest first
    measured: Sequence[Measured]
    capabilities: Sequence[str]  # in words
    efforts: Sequence[str]
    skills: Sequence[tuple[str, float]]  # expected success on a benchmark-hard prompt, best first
    scored: bool
    aliases: Sequence[str]
    retirement: date | None

    @property
    def prices(self) -> PriceTier | None:
        return self.tiers[0] if self.tiers else None

    @property
    def output_usd(self) -> Decimal | None:
        """Per million output tokens."""
        return self.prices.prices.output if self.prices else None

    @property
    def usual(self) -> Measured | None:
        """The effort that stands for the model: the most used one, before any use its default."""
        return max(self.measured, key=lambda speed: (speed.samples, speed.is_default), default=None)


SORTS = {
    "name": ("Model", lambda listed: listed.model.name.lower()),
    "input": ("Input", lambda listed: _or_last(listed.prices and listed.prices.prices.uncached_input)),
    "output": ("Output", lambda listed: _or_last(listed.output_usd)),
    "window": ("Window, tokens", lambda listed: -listed.model.context_window),
    "ttft": ("First token", lambda listed: _or_last(listed.usual and listed.usual.ttft_p50_ms)),
    "speed": ("Speed, tokens/s", lambda listed: -((listed.usual and listed.usual.tokens_per_second) or 0)),
}


def _or_last(value: Decimal | float | None) -> float:
    return float("inf") if value is None else float(value)


@dataclass(frozen=True)
class ModelFilters:
    provider: str = ""
    capability: str = ""
    q: str = ""

    def keep(self, listed: Listed) -> bool:
        text = f"{listed.model.id} {listed.model.name} {' '.join(listed.aliases)}".lower()
        return (
            (not self.provider or listed.model.provider == self.provider)
            and (not self.capability or self.capability in listed.model.capabilities)
            and self.q.lower() in text
        )


def listed_models(snapshot: Snapshot, book: PriceBook, now: datetime) -> list[Listed]:
    """All models of the catalog, those that can answer first, then by provider and newest."""
    dated = _dated()
    measured = _measured(snapshot)
    arm_table = arm_table_of(snapshot, None) if snapshot.models else None
    rows = [
        _listed(model, snapshot, arm_table, book, now, dated.get(model.id, ()), measured.get(model.id, ()))
        for model in Model.objects.all()
    ]
    return sorted(rows, key=_order)


def retired_models() -> Sequence[RetiredModel]:
    return list(RetiredModel.objects.select_related("successor").order_by("-retired", "id"))


def _listed(
    model: Model,
    snapshot: Snapshot,
    arm_table: ArmTable | None,
    book: PriceBook,
    now: datetime,
    dated: Sequence[Dated],
    measured: Sequence[Measured],
) -> Listed:
    facts = snapshot.models.get(model.id)
    health, reason = _health(model, snapshot)
    period = book.at(model.id, now)
    skills, scored = _skills(arm_table, model.id)
    return Listed(
        model=model,
        health=health,
        health_reason=reason,
        p_up=snapshot.p_up.get(model.id),
        tiers=period.tiers if period else (),
        scheduled=[price for price in dated if price.effective_from > now],
        history=[price for price in reversed(dated) if price.effective_from <= now],
        measured=measured,
        capabilities=[words for name, words in CAPABILITIES.items() if name in model.capabilities],
        efforts=[str(effort) for effort in facts.efforts] if facts else [],
        skills=skills,
        scored=scored,
        aliases=[alias for alias in facts.aliases if alias != model.id] if facts else [],
        retirement=model.shutdown,
    )


def _order(listed: Listed) -> tuple[bool, str, int, str]:
    released = listed.model.released.toordinal() if listed.model.released else 0
    return listed.health == "off", listed.model.provider, -released, listed.model.id


def _health(model: Model, snapshot: Snapshot) -> tuple[str, str]:
    if not model.enabled:
        return "off", "switched off by the operator"
    if model.id not in snapshot.models:
        return "off", f"no key for {provider_name(model.provider)} is configured"
    if model.id in snapshot.blocked:
        return "down", snapshot.blocked[model.id]
    if model.id not in snapshot.p_up:
        return "not used yet", ""
    if snapshot.p_up[model.id] < DEGRADED_BELOW:
        return "degraded", "attempts failed lately"
    return "healthy", ""


def _dated() -> Mapping[str, Sequence[Dated]]:
    """All prices by model, oldest first; of several versions of one price the latest added counts."""
    latest: dict[tuple[str, datetime], str] = {}
    tiers: dict[tuple[datetime, int, str, str], dict[str, Decimal]] = defaultdict(dict)
    sources: dict[tuple[datetime, str, str], str] = {}
    for row in ModelPrice.objects.filter(service_tier="").order_by("created_at", "pk"):
        latest[row.model, row.effective_from] = row.version
        tiers[row.effective_from, row.over_input_tokens, row.model, row.version][row.token_class] = (
            row.usd_per_mtok
        )
        sources[row.effective_from, row.model, row.version] = row.source
    by_model: dict[str, list[Dated]] = defaultdict(list)
    for (start, over, model, version), prices in sorted(tiers.items(), key=lambda item: item[0]):
        if latest[model, start] == version:
            by_model[model].append(Dated(start, over, prices, sources[start, model, version]))
    return by_model


def _measured(snapshot: Snapshot) -> Mapping[str, Sequence[Measured]]:
    """By model, from the snapshot: rolling figures of traffic, or priors where there was no traffic."""
    by_model: dict[str, list[Measured]] = defaultdict(list)
    for arm in sorted(snapshot.latency, key=lambda arm: _LADDER.index(arm.effort) if arm.effort else -1):
        latency, facts = snapshot.latency[arm], snapshot.models.get(arm.model)
        by_model[arm.model].append(
            Measured(
                effort=arm.effort or "",
                is_default=arm.effort in (None, facts.default_effort if facts else None),
                ttft_p50_ms=latency.ttft_p50_ms,
                ttft_p95_ms=latency.ttft_p95_ms,
                tokens_per_second=latency.tokens_per_second,
                samples=latency.samples,
            )
        )
    return by_model


def _skills(arm_table: ArmTable | None, model: str) -> tuple[Sequence[tuple[str, float]], bool]:
    """Success by skill at the model's default effort, best first; and whether a score is published."""
    row = _default_row(arm_table, model) if arm_table else None
    if arm_table is None or row is None:
        return (), False
    scores = [(str(skill), float(p)) for skill, p in zip(SKILLS, arm_table.success[row], strict=True)]
    return sorted(scores, key=lambda item: -item[1]), bool(arm_table.scored[row])


def _default_row(arm_table: ArmTable, model: str) -> int | None:
    rows: Iterable[int] = (row for arm, row in arm_table.rows.items() if arm.model == model)
    return min(rows, key=lambda row: arm_table.arms[row].effort is not None, default=None)
